"""matex bias."""

import shutil

from matex.samples import samples
from tests.cli.command_line import refused


def test_groups_of_a_table_are_compared(command, tmp_path):
    lines = ["image,text,sex"]
    for number, film in enumerate(samples()[:4]):
        shutil.copy(film.path, tmp_path)
        lines.append(f"{film.path.name},nodule,{'FM'[number % 2]}")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    code, out, _ = command("bias", "pairs.csv", "--by", "sex", "--least", "2", "-m", "grad-eclip")
    assert code == 0
    assert "sex: F 2, M 2" in out
    assert "(no interval) p undefined" in out
    assert "nan" not in out
    assert (tmp_path / "bias" / "bias.html").is_file()
    assert refused(command("bias", "pairs.csv", "--by", "age"), "age")
    assert refused(command("bias", "pairs.csv", "--by", "sex", "-m", "nope"), "nope")
    assert refused(command("bias", "pairs.csv", "--by", "sex", "--least", "9"), "Lower least")
