"""docs/rooms.svg is what docs/draw_rooms.py draws from the import graph."""

from xml.etree import ElementTree

from docs import draw_rooms
from docs.import_graph import ROOMS

HINT = "run `python -m docs.draw_rooms`"


def test_the_picture_of_the_rooms_is_up_to_date():
    assert draw_rooms.main(["--check"]) == 0, HINT


def test_another_picture_is_noticed_and_drawn_anew(tmp_path):
    path = tmp_path / "rooms.svg"
    assert draw_rooms.main(["--check"], path) == 1
    path.write_text("<svg/>")
    assert draw_rooms.main(["--check"], path) == 1
    assert draw_rooms.main([], path) == 0
    assert draw_rooms.main(["--check"], path) == 0


def test_an_arrow_that_others_imply_is_left_out():
    graph = {"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"a", "c"}}
    expected = {"a": set(), "b": {"a"}, "c": {"b"}, "d": {"c"}}
    assert draw_rooms.reduced(graph) == expected


def test_the_picture_has_every_room_and_every_arrow_once_and_apart():
    graph = draw_rooms.reduced(draw_rooms.room_graph())
    root = ElementTree.fromstring(draw_rooms.picture(graph))
    svg, width = "{http://www.w3.org/2000/svg}", draw_rooms.WIDTH
    names = [text.text for text in root.iter(f"{svg}text")]
    assert names == list(ROOMS)
    arrows = [p.get("d") for p in root.iter(f"{svg}path") if p.get("marker-end")]
    assert len(arrows) == len(set(arrows)) == sum(map(len, graph.values()))
    boxes = [box.attrib for box in root.iter(f"{svg}rect")]
    places = [(float(box["x"]), float(box["y"])) for box in boxes]
    assert all(0 < x < float(root.get("width")) - width for x, _ in places)
    for at, (x, y) in enumerate(places):
        assert not any(abs(x - a) < width and y == b for a, b in places[:at])
