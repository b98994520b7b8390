"""The wire forms as `FakeServer` speaks them: the one list for all tests, derived from the package's own tables."""

from llmnet.providers.services import FAKE, SERVICES
from llmnet.providers.target import WIRE_FORMS

FORMS = tuple(WIRE_FORMS)


def path_of(form):
    """What completes the server's address for a form."""
    return FAKE.apis[form].path


def service_of(form):
    """The first service that offers a form."""
    return next(service for service in SERVICES.values() if form in [api.form for api in service.apis.values()])
