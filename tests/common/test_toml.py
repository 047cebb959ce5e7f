"""TOML of users: what is read, and the reason where it is not."""

import pytest

from spoofcache.common.toml import TomlError, parse_toml, read_toml


def test_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "a.toml").write_bytes("x = 'é'".encode("utf-8-sig"))
    assert read_toml(tmp_path / "a.toml") == {"x": "é"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "Expected '=' after a key"),
        ("x = " + "[" * 40 + "]" * 40, "nested more than 32 levels deep"),
        ("x = " + "[" * 9_000, "nested more than 32 levels deep"),
        (".".join("a" * 40) + " = 1", "nested more than 32 levels deep"),
        (f"x = {2**63}", "a whole number of more than 64 bits"),
        ("x = [{y = -" + "9" * 5_000 + "}]", "a whole number of more than 64 bits"),
    ],
)
def test_what_cannot_be_used_has_a_reason(text, reason):
    with pytest.raises(TomlError, match=reason):
        parse_toml(text)


def test_the_largest_numbers_and_the_deepest_tables_are_read():
    assert parse_toml(f"x = [{2**63 - 1}, {-(2**63)}]") == {"x": [2**63 - 1, -(2**63)]}
    assert parse_toml("x = " + "[" * 30 + "]" * 30)


def test_another_encoding_is_refused(tmp_path):
    (tmp_path / "a.toml").write_bytes("x = 'é'".encode("cp1252"))
    with pytest.raises(TomlError, match="not UTF-8"):
        read_toml(tmp_path / "a.toml")
