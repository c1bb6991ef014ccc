"""What a merchant answered through a control plane: text that was decoded there, in whatever charset it was written."""

from __future__ import annotations

import pytest

from jecp_mcp.rails.flow402.rail import _as_http
from jecp_mcp.rails.paid_http.answers import output_of
from jecp_mcp.wire.flow402.decision import MerchantResponse


@pytest.mark.parametrize(
    "charset", ["", "; charset=utf-8", "; Charset=ISO-8859-1", '; charset="undefined"', "; charset=utf-16"]
)
def test_text_is_what_the_control_plane_read(charset: str) -> None:
    answered = _as_http(MerchantResponse(200, {"content-type": f"text/plain{charset}; format=flowed"}, "Größe 5 €"))
    assert output_of(answered)["body"] == "Größe 5 €"
    assert answered.headers["content-type"] == "text/plain; format=flowed"


def test_what_is_no_text_and_has_no_type_is_an_answer_all_the_same() -> None:
    assert output_of(_as_http(MerchantResponse(200, {}, "a\ud800b")))["body"] == "a?b"
