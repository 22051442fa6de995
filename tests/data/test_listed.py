"""Names in a message."""

from xpnet.data.files import listed


def test_many_names_are_cut_short_and_safe_to_print():
    assert listed([]) == "none"
    assert listed(["a", "b\n"]) == r"a, b\n"
    assert listed([f"c{i}" for i in range(11)]).endswith("c9, ...")
