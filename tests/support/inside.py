"""What tests look at, hold or replace inside clients, batches and servers: no public name gives it, and it is used here alone."""

from llmnet.core.admission.queue import Ticket


def inner(client):
    """The client behind the blocking face of the async front."""
    return getattr(client, "_client", client)


def common_of(client):
    """What a client and its children share."""
    return client._common  # private: gates, buckets, counters and the source of chance


def queue_of(client):
    """Its `active` have a slot, its `waiting` wait for one."""
    return common_of(client).queue


def join(queue, wake=None):
    """A ticket of a queue, as a call gets it: a slot, or a place among those who wait."""
    ticket = Ticket()
    ticket.wake = wake
    queue.join(ticket)
    return ticket


def calls_of(client):
    """The calls in flight."""
    common = common_of(client)
    with lock_of(common):
        return common._calls()  # private: how far a call has come


def is_drained(exchange):
    """Whether its reply is read for the connection's sake alone."""
    return exchange._closing  # private: the caller has the reply by then, and sees nothing of it


def form_of(client):
    """The wire form of its calls, and their target, without a call."""
    return client._form()  # private: replies and addresses can be looked at without a server


def resolved_of(client):
    """What the client has made of its fields: target, model, key."""
    return client._resolved  # private: seen from outside only by what goes to the vendor


def transport_of(client):
    """The transport of one of our clients, or of an `httpx` client."""
    return inner(client)._transport  # private: whom it shares its pools with, and its policy


def replace_parts(client, **parts):
    """Give a client a clock, a wall clock, waits or a transport of the test's own: none can be handed in."""
    for name, part in parts.items():
        assert hasattr(inner(client), f"_{name}")
        setattr(inner(client), f"_{name}", part)


def lock_of(thing):
    """The lock of counters, of the state of a batch, or of what clients share: to be held as one of their methods does."""
    return thing._lock  # private: when a method holds it is nobody's to choose


def state_of(batch):
    """What is in flight, finished and handed out."""
    return batch._engine.state  # private: a batch has no public figures of it


def turn_is_free(batch):
    """Whether anybody may take a row of a batch just now."""
    turn = batch._engine._turn  # private: who has it is seen from outside only by what it costs
    if hasattr(turn, "_wakes"):
        return not turn._wakes.empty()  # private: to wait for it would take it
    return not turn._unset.locked()  # as above


def connections_of(server):
    """The connections that a server has open."""
    return server._members  # private: its public figures are of requests, and of all connections ever
