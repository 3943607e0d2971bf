"""Static files over ASGI (spec H4: pages are quick; no warning in the log)."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.conf import settings
from django.test import AsyncClient, Client
from django.test.utils import override_settings


@override_settings(WHITENOISE_USE_FINDERS=True, WHITENOISE_AUTOREFRESH=True)
def test_a_static_file_comes_whole_and_without_a_warning_over_asgi_as_over_wsgi():
    wanted = (settings.BASE_DIR / "static" / "csrf.js").read_bytes()

    async def over_asgi() -> tuple[int, bytes, str]:
        answer = await AsyncClient().get("/static/csrf.js")
        return answer.status_code, b"".join([part async for part in answer.streaming_content]), answer["Content-Type"]

    assert async_to_sync(over_asgi)() == (200, wanted, 'text/javascript; charset="utf-8"')
    answer = Client().get("/static/csrf.js")
    assert b"".join(answer.streaming_content) == wanted


@override_settings(WHITENOISE_USE_FINDERS=True, WHITENOISE_AUTOREFRESH=True)
def test_what_the_browser_has_already_is_not_sent_again():
    async def twice() -> tuple[int, list[bytes]]:
        first = await AsyncClient().get("/static/csrf.js")
        assert [part async for part in first.streaming_content]
        again = await AsyncClient().get("/static/csrf.js", headers={"If-Modified-Since": first["Last-Modified"]})
        return again.status_code, list(again.streaming_content)  # of an empty answer the test client makes a plain one

    assert async_to_sync(twice)() == (304, [])
