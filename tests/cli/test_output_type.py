"""`--output-type`: what is asked for, what is printed, and which replies do not fit."""

import json

import pytest
from support.batches import results, to, written

from llmnet.cli import main, output_type
from llmnet.testing import Reply

CITY = {
    "title": "A city!",
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "people": {"type": ["integer", "null"]},
        "kind": {"enum": ["old", "new"]},
        "near": {"type": "array", "items": {"$ref": "#/$defs/near"}},
    },
    "required": ["name", "people", "kind", "near"],
    "additionalProperties": False,
    "$defs": {"near": {"anyOf": [{"type": "string"}, {"type": "number"}]}},
}
HANGZHOU = {"name": "杭州", "people": 12, "kind": "old", "near": ["a", 1.5]}


@pytest.fixture
def schema(tmp_path):
    path = tmp_path / "city.json"
    path.write_text(json.dumps(CITY))
    return str(path)


def at(server, *arguments):
    return ["chat", "Hi", "-m", "openai:m", "--base-url", f"{server.url}/v1", *arguments]


def test_what_is_asked_for_and_printed(server, schema, capsys):
    server.script(Reply(text=f"```json\n{json.dumps(HANGZHOU, indent=1)}\n```"))
    assert main(at(server, "--output-type", schema)) == 0
    assert capsys.readouterr() == (json.dumps(HANGZHOU, ensure_ascii=False, separators=(",", ":")) + "\n", "")
    wanted = server.requests[0].json["response_format"]["json_schema"]
    assert (wanted["name"], wanted["strict"]) == ("A_city_", True)
    assert wanted["schema"].keys() >= {"type", "properties", "required", "additionalProperties", "$defs"}
    assert "stream" not in server.requests[0].json


def test_json_has_it_beside_the_reply(server, schema, capsys):
    server.script(json.dumps(HANGZHOU))
    assert main(at(server, "--output-type", schema, "--json")) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["parsed"], json.loads(shown["content"])) == (HANGZHOU, HANGZHOU)


@pytest.mark.parametrize("api", ["chat-completions", "responses", "messages", "native"])
def test_in_every_wire_form(schema, capsys, api):
    assert main(["chat", "Hi", "-m", "fake:m", "--api", api, "--output-type", schema]) == 0
    assert output_type.problem_of(json.loads(capsys.readouterr().out), CITY) is None


UNFIT = [
    (Reply(text="Hangzhou"), "the reply does not fit city.json: "),
    (Reply(text='{"name"', finish="length"), "the reply was cut off after 7 characters of a A city!"),
    (Reply(refusal="I won't"), "the model refused to give a A city!: I won't"),
    (Reply(text="[]"), "$ must be object"),
    (Reply(text="{}"), "$.name is missing"),
    (Reply(text=json.dumps(HANGZHOU | {"people": 1.5})), "$.people must be integer or null"),
    (Reply(text=json.dumps(HANGZHOU | {"people": True})), "$.people must be integer or null"),
    (Reply(text=json.dumps(HANGZHOU | {"kind": "odd"})), "$.kind must be one of 'old', 'new'"),
    (Reply(text=json.dumps(HANGZHOU | {"near": ["a", None]})), "$.near[1] fits none of its alternatives"),
    (Reply(text=json.dumps(HANGZHOU | {"more": 1})), "$.more must not be there"),
]


@pytest.mark.parametrize(("reply", "why"), UNFIT)
def test_a_reply_that_does_not_fit_is_not_printed(server, schema, capsys, reply, why):
    server.script(reply)
    assert main(at(server, "--output-type", schema)) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert why in error
    assert error.startswith("llmnet: openai (127.0.0.1")


def test_a_row_that_does_not_fit_has_failed_but_is_kept(server, schema, tmp_path, capfd):
    server.handler = lambda request: "odd" if request.json["messages"][0]["content"] == "b" else json.dumps(HANGZHOU)
    rows = written(tmp_path / "in.jsonl", [{"custom_id": name, "prompt": name} for name in "ab"])
    assert main(to(server, rows, "--output-type", schema, "--json")) == 1
    out, summary = capfd.readouterr()
    found = results(out)
    assert json.loads(summary)["failed_by_cause"] == {"OutputError": 1}
    assert found["a"]["error"] is None
    assert found["b"]["error"]["message"].startswith("openai (127.0.0.1")
    assert found["b"]["response"]["body"]["choices"][0]["message"]["content"] == "odd"
    assert all(request.json["response_format"]["type"] == "json_schema" for request in server.requests)


WRONG = [
    ("", "is no JSON: "),
    ("[]", "is no JSON schema of an object"),
    ('{"type": "string"}', "is no JSON schema of an object"),
    (b"\xff", "is no JSON: "),
    (None, "cannot read "),
]


@pytest.mark.parametrize(("text", "why"), WRONG)
@pytest.mark.parametrize("command", ["chat", "batch"])
def test_what_is_no_schema(server, tmp_path, capsys, text, why, command):
    path = tmp_path / "schema.json"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main([command, "Hi", "-m", "fake:m", "--output-type", str(path)]) == 2
    assert why in capsys.readouterr().err


TWICE = {f"A{n}": {"allOf": [{"$ref": f"#/$defs/A{n + 1}"}] * 2} for n in range(30)}
DOUBLING = TWICE | {"A30": {"type": "object"}}
CHAIN = {f"A{n}": {"$ref": f"#/$defs/A{n + 1}"} for n in range(2000)} | {"A2000": {}}
MISSHAPEN = [
    ({"properties": []}, "$.properties must be an object"),
    ({"properties": {"a": True}}, "$.properties.a must be an object"),
    ({"items": []}, "$.items must be an object"),
    ({"anyOf": [{"enum": 5}]}, "$.anyOf[0].enum must be an array"),
    ({"$defs": {"a": {"required": {}}}}, "$.$defs.a.required must be an array of names"),
    ({"required": [["a"]]}, "$.required must be an array of names"),
    ({"properties": {"a": {"type": {"x": 1}}}}, "$.properties.a.type must be one or more of object, array, string"),
    ({"properties": {"a": {"type": ["string", "text"]}}}, "$.properties.a.type must be one or more of"),
    ({"additionalProperties": [1]}, "$.additionalProperties must be an object, true or false"),
    ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "$.properties.a.$ref leads to nothing in this file"),
    ({"$ref": "http://host/x"}, "$.$ref leads to nothing in this file"),
    ({"$ref": 5}, "$.$ref leads to nothing in this file"),
    ({"$ref": "#/far/away", "far": {"away": {"anyOf": 5}}}, "#/far/away.anyOf must be an array"),
    ({"$ref": "#"}, "a $ref leads back to itself"),
    ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}, "a $ref leads back"),
    ({"items": {"$ref": "#/$defs/A"}, "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}}, "a $ref leads back"),
    ({"$ref": "#/$defs/A0", "$defs": DOUBLING}, "references lead to more than 1,000 schemas for one"),
    ({"$ref": "#/$defs/A0", "$defs": CHAIN}, "one $ref leads to another, and so on, too often"),
]


@pytest.mark.parametrize(("schema", "why"), MISSHAPEN)
def test_what_is_no_schema_within(tmp_path, capsys, schema, why):
    (tmp_path / "a.json").write_text(json.dumps({"type": "object", **schema}))
    assert main(["chat", "Hi", "-m", "fake:m", "--output-type", str(tmp_path / "a.json")]) == 2
    assert f"a.json is no JSON schema: {why}" in capsys.readouterr().err


def test_another_format_beside_it(server, schema, capsys):
    assert main(at(server, "--output-type", schema, "-p", 'response_format={"type": "json_object"}')) == 2
    assert capsys.readouterr().err.startswith("llmnet: --output-type and response_format both say")


def test_older_schemas_have_definitions(server, tmp_path, capsys):
    old = json.dumps(CITY).replace("$defs", "definitions")
    (tmp_path / "city.json").write_text(old)
    server.script(json.dumps(HANGZHOU))
    assert main(at(server, "--output-type", str(tmp_path / "city.json"))) == 0
    assert "definitions" not in server.requests[0].body.decode()
    assert json.loads(capsys.readouterr().out) == HANGZHOU


def test_definitions_and_defs_are_one_thing(tmp_path, capsys):
    (tmp_path / "a.json").write_text(json.dumps({"type": "object", "definitions": {}, "$defs": {}}))
    assert main(["chat", "Hi", "-m", "fake:m", "--output-type", str(tmp_path / "a.json")]) == 2
    assert "a.json has both definitions and $defs" in capsys.readouterr().err


def test_no_name_of_a_file(capsys):
    assert main(["chat", "Hi", "-m", "fake:m", "--output-type", ""]) == 2
    assert capsys.readouterr().err.startswith("llmnet: cannot read : No such file")


def test_a_file_that_is_too_long(tmp_path, capsys):
    (tmp_path / "a.json").write_text('{"type": "object"}' + " " * 2**20)
    assert main(["chat", "Hi", "-m", "fake:m", "--output-type", str(tmp_path / "a.json")]) == 2
    assert "a.json: it is longer than 1,048,576 bytes" in capsys.readouterr().err


POINTED = {"$ref": "#/x/a~1b/~0%20/1", "x": {"a/b": {"~ ": [{}, {"required": ["n"]}]}}}


def test_references_are_pointers(tmp_path):
    assert output_type.problem_of_schema(POINTED) is None
    assert output_type.problem_of({}, POINTED) == "$.n is missing"


def test_a_schema_may_hold_itself_within():
    tree = {"properties": {"left": {"$ref": "#"}, "name": {"type": "string"}}}
    assert output_type.problem_of_schema(tree) is None
    assert output_type.problem_of({"left": {"left": {"name": 5}}}, tree) == "$.left.left.name must be string"


def test_a_reply_with_too_many_ways_through_the_schema(monkeypatch):
    monkeypatch.setattr(output_type, "MAX_FOLLOWED", 1000)
    node = {"properties": {"k": {"$ref": "#/$defs/N"}}}
    ways = [{"allOf": [node, {"required": ["z"]}]}, node]
    schema = {"$ref": "#/$defs/N", "$defs": {"N": {"anyOf": ways}}}
    value = {}
    for _ in range(40):
        value = {"k": value}
    assert output_type.problem_of_schema(schema) is None
    with pytest.raises(ValueError, match="it takes more than 1,000 references"):
        output_type.problem_of(value, schema)


def test_keywords_that_others_depend_on():
    row = {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}
    assert output_type.problem_of(["a", 1, 2], row) is None
    assert output_type.problem_of(["a", "b", 1], row) == "$[1] must be integer"
    named = {"type": "object", "patternProperties": {"^x-": {}}, "additionalProperties": False}
    assert output_type.problem_of({"x-a": 1}, named) is None
