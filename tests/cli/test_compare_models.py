"""matex compare-models."""

import shutil

from matex.samples import samples
from tests.cli.command_line import refused


def test_two_models_are_compared_on_the_pairs_of_a_table(command, tmp_path):
    lines = ["image,text"]
    for film in samples()[:2]:
        shutil.copy(film.path, tmp_path)
        lines += [f"{film.path.name},{text}" for text in ("nodule", "clear lungs")]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    code, out, _ = command("compare-models", "tiny", "tiny-plain", "pairs.csv", "-m", "rollout")
    assert code == 0
    assert "all pairs (4)" in out
    assert (tmp_path / "models" / "comparison.html").is_file()
    assert refused(command("compare-models", "tiny", "nope", "pairs.csv"), "nope")
    assert refused(command("compare-models", "tiny", "tiny", "none.csv"), "none.csv")
