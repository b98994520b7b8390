"""What goes with a prompt on the command line: files by what is in them, addresses of images."""

import base64

import pytest

from llmnet.cli import main, reading

KINDS = [
    (b"\x89PNG\r\n\x1a\n", "a", "data:image/png;base64,"),
    (b"\xff\xd8\xff\xe0", "a.gif", "data:image/jpeg;base64,"),
    (b"GIF89a", "a.gif", "data:image/gif;base64,"),
    (b"GIF87a", "a.gif", "data:image/gif;base64,"),
    (b"RIFF\0\0\0\0WEBPVP8 ", "a.webp", "data:image/webp;base64,"),
]


def parts(server, *arguments, model="openai:m"):
    assert main(["chat", "What is it?", "-m", model, "--base-url", f"{server.url}/v1", *arguments]) == 0
    return server.requests[-1].json["messages"][-1]["content"]


@pytest.mark.parametrize(("head", "name", "url"), KINDS)
def test_an_image_by_its_first_bytes(server, tmp_path, head, name, url):
    (tmp_path / name).write_bytes(head + b"rest")
    image, text = parts(server, "-a", str(tmp_path / name))
    assert image == {"type": "image_url", "image_url": {"url": url + base64.b64encode(head + b"rest").decode()}}
    assert text == {"type": "text", "text": "What is it?"}


def test_addresses_documents_and_sound(server, tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    (tmp_path / "a.mp3").write_bytes(b"ID3\4")
    names = ["HTTPS://example.com/a.png", *(str(tmp_path / name) for name in ("a.pdf", "a.wav", "a.mp3"))]
    address, document, wav, mp3, _ = parts(server, *(word for name in names for word in ("-a", name)))
    assert address == {"type": "image_url", "image_url": {"url": "HTTPS://example.com/a.png"}}
    data = f"data:application/pdf;base64,{base64.b64encode(b'%PDF-1.7').decode()}"
    assert document == {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}
    assert (wav["input_audio"]["format"], mp3["input_audio"]["format"]) == ("wav", "mp3")
    assert base64.b64decode(mp3["input_audio"]["data"]) == b"ID3\4"


def test_they_are_translated(server, tmp_path):
    (tmp_path / "a").write_bytes(b"GIF89a")
    (tmp_path / "b").write_bytes(b"%PDF-1.7")
    image, document, _ = parts(server, "-a", str(tmp_path / "a"), "-a", str(tmp_path / "b"), model="anthropic:m")
    assert (image["type"], image["source"]["media_type"]) == ("image", "image/gif")
    assert (document["type"], document["source"]["media_type"]) == ("document", "application/pdf")


def test_what_cannot_be_attached(server, tmp_path, capsys, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"BM not a png")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "long").write_bytes(b"GIF89a" + bytes(20))
    monkeypatch.setattr(reading, "MAX_BYTES", 20)
    wrong = {
        "a.png": "cannot attach {}: it is none of png, jpeg, gif, webp, pdf, wav, mp3",
        "empty.png": "cannot attach {}: it is none of png",
        "none.png": "cannot read {}: No such file or directory",
        "": "cannot read {}: Is a directory",
        "long": "cannot read {}: it is longer than 20 bytes",
        "a\0b": "cannot read {}: ",
    }
    for name, why in wrong.items():
        path = str(tmp_path / name)
        assert main(["chat", "Hi", "-m", "openai:m", "--base-url", f"{server.url}/v1", "-a", path]) == 2
        assert f"llmnet: {why.format(path)}".replace("\0", "") in capsys.readouterr().err
    assert server.request_count == 0
