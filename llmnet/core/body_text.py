"""The body of a reply as text: in the charset that its content type names, where that is one of texts, else in UTF-8.

Of Python's codecs many are none of a charset: some raise errors of their own, or take quadratic time.
"""

import re
from collections.abc import Mapping

_NAMED = r"""charset\s*=\s*["']?([^\s"';,]+)"""
_KNOWN = (
    "utf[-_]?(8|16([-_]?[lb]e)?)|(us-)?ascii|latin-?1|iso[-_]8859-([1-9]|1[013-6])|(windows-|cp)125[0-8]|koi8-[ru]"
    "|gbk|gb2312|gb18030|big5(-hkscs)?|shift[-_]jis|sjis|windows-31j|euc-jp|euc-kr|cp949"
)


def body_text(body: bytes, headers: Mapping[str, str], errors: str = "replace") -> str:
    """The text of a body with these headers.

    Args:
        body: the bytes, without their content coding.
        headers: the response headers.
        errors: what becomes of bytes that are none: `"replace"`, or `"strict"` raises a `UnicodeDecodeError`.
    """
    named = re.search(_NAMED, headers.get("content-type", ""), re.IGNORECASE)
    charset = named[1].lower() if named and re.fullmatch(_KNOWN, named[1], re.IGNORECASE) else "utf-8"
    # Who says GB2312 often sends more than that has; the newest of the three has all of them.
    return body.decode("gb18030" if charset.startswith("gb") else charset, errors)
