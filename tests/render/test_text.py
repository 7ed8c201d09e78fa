import pytest

from matex.render.text import wrap


def test_letters_that_no_typeface_has_become_words_and_not_boxes(monkeypatch):
    from matex.render import text as room

    room._best.cache_clear()
    monkeypatch.setattr(room, "SYSTEM_FACES", ())
    assert room.drawable("nodule") == "nodule"
    assert room.drawable("épanchement – Ödem") == "epanchement - Odem"
    assert room.drawable("左肺 nodule") == "[2 CJK characters] nodule"
    assert room.drawable("я") == "[1 Cyrillic character]"
    assert "[2 CJK characters]" in " ".join(wrap("左肺 nodule", 24, 400))
    room._best.cache_clear()


def test_a_typeface_with_the_letters_is_taken_where_there_is_one():
    from matex.render import text as room

    if not room._installed("DejaVuSans.ttf"):
        pytest.skip("needs DejaVu")
    assert room.drawable("Узелок, épanchement, œdème") == "Узелок, épanchement, œdème"
    assert room.font(20, "Узелок").getname()[0] == "DejaVu Sans"
    assert room.font(20, "nodule").getname() == room.font(20, "").getname()


def test_wrapping_keeps_every_line_inside_and_marks_what_was_cut():
    lines = wrap("pneumonia " * 30 + "y" * 300, 24, 400, lines=4)
    assert len(lines) == 4
    assert lines[-1].endswith("…")
    assert wrap("two words", 24, 400) == ["two words"]
    assert wrap("", 24, 400) == []
