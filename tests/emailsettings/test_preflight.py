"""What can be wrong before the start: each in one sentence with its cure."""

import socket
from pathlib import Path

import pytest

from emailsettings.jsoncache import JsonSerializer
from emailsettings.preflight import CannotStart, check_port, check_socket_path, port_from, take_lock


def test_a_taken_port_is_named_with_another_one_to_try():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"port {port} .* PORT={port + 1} \./run"):
            check_port("127.0.0.1", port, patience=0)


@pytest.mark.parametrize("text", ["abc", "", "0", "65536", "-1", "8000.5", "9" * 5000])
def test_a_port_that_is_none_is_named_with_an_example(text):
    with pytest.raises(CannotStart, match=r"PORT is .* number from 1 to 65535"):
        port_from(text)


def test_ports_at_both_ends_are_fine():
    assert [port_from("1"), port_from("65535")] == [1, 65535]


def test_an_address_of_another_machine_is_blamed_on_the_host_at_once():
    with pytest.raises(CannotStart, match=r"HOST is “192\.0\.2\.1”"):
        check_port("192.0.2.1", 8000, patience=60)


def test_a_state_path_too_long_for_a_socket_names_the_setting():
    with pytest.raises(CannotStart, match="EMAILSETTINGS_STATE_DIR"):
        check_socket_path(Path("/" + "x" * 110))


def test_a_state_path_of_the_longest_length_is_fine():
    check_socket_path(Path("/" + "x" * 106))


def test_a_second_start_says_where_the_first_one_runs(tmp_path):
    with (
        take_lock(tmp_path, "http://127.0.0.1:8000/"),
        pytest.raises(CannotStart, match=r"already: http://127\.0\.0\.1:8000/"),
    ):
        take_lock(tmp_path, "http://127.0.0.1:9000/")
    take_lock(tmp_path, "http://127.0.0.1:9000/").close()


@pytest.mark.parametrize("value", [7, "text", [1.5, None], {"a": True}])
def test_what_the_cache_keeps_comes_back_and_is_json(value):
    serializer = JsonSerializer()
    stored = serializer.dumps(value)
    assert not isinstance(stored, bytes) or not stored.startswith(b"\x80")
    assert serializer.loads(stored) == value
