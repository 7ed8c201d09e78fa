"""The hub: which files are fetched, and that licence and size are named before anything is."""

import dataclasses
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import matex
from matex.adapters import folder, hub
from matex.errors import NotCached
from matex.published import PUBLISHED

TINY = Path(matex.__file__).parent / "adapters" / "tiny"
MEGABYTE = 1_000_000


@dataclasses.dataclass
class Hub:
    """A hub with one repository and an empty cache."""

    place: Path
    files: dict
    licence: str | None = None
    cached: bool = False
    fetched: list = dataclasses.field(default_factory=list)

    def model_info(self, source, *, timeout, files_metadata):
        entries = [SimpleNamespace(rfilename=name, size=size) for name, size in self.files.items()]
        card = SimpleNamespace(license=self.licence) if self.licence else None
        return SimpleNamespace(siblings=entries, sha="abc", card_data=card)

    def snapshot_download(self, source, *, revision=None, allow_patterns=(), local_files_only=False):
        if local_files_only:
            raise FileNotFoundError
        self.fetched += allow_patterns
        return self.place

    def try_to_load_from_cache(self, source, name, revision):
        return str(self.place / name) if self.cached else None


@pytest.fixture
def repository(monkeypatch, tmp_path):
    found = Hub(Path(shutil.copytree(TINY, tmp_path / "model")), {file.name: 3 * MEGABYTE for file in TINY.iterdir()})
    found.files |= {"README.md": 1, "pytorch_model.bin": 900 * MEGABYTE, "onnx/model.onnx": 900 * MEGABYTE}
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: found)
    for name in ("snapshot_download", "try_to_load_from_cache"):
        monkeypatch.setattr(f"huggingface_hub.{name}", getattr(found, name))
    return found


def test_licence_and_size_are_named_before_a_download(repository, caplog):
    repository.licence = "cc-by-nc-4.0"
    with caplog.at_level(logging.WARNING, "matex"):
        assert matex.load("hf:somebody/clip").name == "hf:somebody/clip"
    count = len(repository.fetched)
    assert "pytorch_model.bin" not in repository.fetched  # one set of weights, the first
    assert not {"README.md", "onnx/model.onnx"} & set(repository.fetched)
    line = f"Downloading somebody/clip: {count} files, {3 * count} MB. Licence of the weights: cc-by-nc-4.0."
    assert caplog.messages == [line]


def test_the_licence_of_a_known_model_is_that_of_the_list_and_none_is_said_to_be_none(repository, caplog):
    matex.load("hf:StanfordAIMI/XrayCLIP__vit-b-16__laion2b-s34b-b88k")
    assert "no commercial use" in caplog.messages[-1]
    matex.load("hf:somebody/clip")
    assert caplog.messages[-1].endswith("not stated.")


def test_nothing_is_said_where_everything_is_cached(repository, caplog):
    repository.cached = True
    matex.load("hf:somebody/clip")
    assert caplog.messages == []


def test_a_gated_model_says_what_to_accept(monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("401 Client Error")

    monkeypatch.setattr("huggingface_hub.HfApi", lambda: SimpleNamespace(model_info=refuse))
    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(matex.CheckpointError, match=r"401.*gated: accept its terms \(Health AI"):
        matex.load("hf:google/medsiglip-448")


def test_files_of_a_repository_are_one_set_of_weights_and_all_its_parts():
    parts = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    names = [*parts, "model.safetensors.index.json", "pytorch_model.bin"]
    assert hub.weight_files(names, folder.WEIGHTS) == [*parts, "model.safetensors.index.json"]
    biomed = ["open_clip_config.json", "open_clip_pytorch_model.bin", "pytorch_model.bin"]
    assert hub.weight_files(biomed, folder.OPEN_CLIP_WEIGHTS) == ["open_clip_pytorch_model.bin"]
    assert hub.weight_files(["vocab.txt"], folder.WEIGHTS) == []


def test_every_published_model_has_a_loader_and_a_licence():
    prefixes = {entry.name for entry in matex.models()}
    for one in PUBLISHED:
        assert one.name.partition(":")[0] + ":" in prefixes
        assert one.licence
        assert one.hub_id.count("/") == 1


# --- the hub's own cache ---------------------------------------------------------------------------------------------

COMMIT = "a" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache in the layout of huggingface_hub, with the bundled model as somebody/clip; the hub cannot be reached."""
    place = tmp_path / "hub" / "models--somebody--clip"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    shutil.copytree(TINY, place / "snapshots" / COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return place / "snapshots" / COMMIT


def known_to_the_hub(files):
    """An HfApi that knows the repository, as online."""
    entries = [SimpleNamespace(rfilename=file.name, size=file.stat().st_size) for file in files]
    about = SimpleNamespace(siblings=entries, sha=COMMIT, card_data=None)
    return lambda: SimpleNamespace(model_info=lambda *_, **__: about)


def test_a_cached_hub_id_loads_alike_online_and_offline_and_nothing_is_said(cache, monkeypatch, caplog):
    offline = matex.load("hf:somebody/clip")
    assert offline.name == "hf:somebody/clip"
    alone = matex.load("hf:somebody/clip", cached_only=True)
    monkeypatch.setattr("huggingface_hub.HfApi", known_to_the_hub(cache.iterdir()))
    online = matex.load("hf:somebody/clip")
    assert online.weights_sha256 == offline.weights_sha256 == alone.weights_sha256 == matex.load("tiny").weights_sha256
    assert caplog.messages == []


def test_cached_only_never_asks_the_hub(cache, monkeypatch):
    def asked(*_, **__):
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.HfApi", asked)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert matex.load("hf:somebody/clip", cached_only=True).name == "hf:somebody/clip"
    with pytest.raises(NotCached, match=r"the hub was not queried; nothing is cached"):
        matex.load("hf:somebody/other", cached_only=True)


def test_what_is_not_cached_is_refused_offline_in_one_line(cache):
    with pytest.raises(matex.CheckpointError, match="HF_HUB_OFFLINE is set, so the hub was not contacted") as refusal:
        matex.load("hf:somebody/other")
    assert "\n" not in str(refusal.value)
    (cache / "model.safetensors").unlink()
    with pytest.raises(matex.CheckpointError, match=r"got no weights.*download the checkpoint again") as refusal:
        matex.load("hf:somebody/clip")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["open-clip:hf-hub:somebody/clip", "biovil:somebody/clip"])
def test_other_families_look_a_hub_id_up_in_the_same_cache(cache, name):
    """The repository is found and is another family's; nothing is downloaded to find out."""
    with pytest.raises(matex.CheckpointError, match=r"open_clip_config\.json, found none|one image model") as refusal:
        matex.load(name)
    assert "\n" not in str(refusal.value)


def test_a_tokenizer_given_by_a_hub_id_comes_from_the_cache(cache, tmp_path):
    folder = Path(shutil.copytree(TINY, tmp_path / "bare"))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (folder / file).unlink(missing_ok=True)
    assert any("tokenizer" in line for line in matex.load(f"hf:{folder}").missing)
    assert not matex.load(f"hf:{folder}", tokenizer="somebody/clip").missing
