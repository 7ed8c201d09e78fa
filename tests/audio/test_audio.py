"""Sound: reading, resampling and log-mel spectrograms against torchaudio's numbers; where the patches lie."""

import numpy as np
import pytest

import matex
from matex.audio.imagebind import ImageBindSpectrogram, clips
from matex.audio.kaldi import BINS, RATE, bin_centre, bin_of, log_mel, to_hertz, to_mel
from matex.audio.kinds import KINDS, draw, is_sound
from matex.audio.recording import from_samples, is_sound_file, read_sound, resample
from matex.errors import InputError

KIND = ImageBindSpectrogram()


def sound(count):
    """A sound by a formula: a low tone, a weaker one that rises through all frequencies, and something like noise."""
    place = np.arange(count)
    tones = 0.3 * np.sin(0.05 * place) + 0.1 * np.sin(3.0 * place**2 / (2 * count) + 1)
    return (tones + 0.02 * (43758.5453 * np.sin(78.233 * place) % 1 - 0.5)).astype(np.float32)


def tone(seconds, frequency, start, end):
    """A tone from `start` to `end`, in weak noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).normal(size=time.shape) * 1e-3
    return (noise + 0.5 * np.sin(2 * np.pi * frequency * time) * ((time >= start) & (time < end))).astype(np.float32)


# torchaudio 2.11: compliance.kaldi.fbank as ImageBind calls it, of `sound(32000)` minus its mean in float64, by (frame,
# bin); functional.resample of `sound(9000)` to 16 kHz in float64, by (rate, sample).
KALDI = {
    (0, 0): -2.4289236156653513,
    (0, 127): -2.4835724902001437,
    (3, 64): -5.320875742240794,
    (57, 5): -2.876878259202981,
    (57, 40): -7.332357809539619,
    (100, 80): -5.9300272342663005,
    (101, 81): -4.891645268503499,
    (150, 99): -2.276074741363794,
    (197, 0): -5.545577842310125,
    (197, 120): -2.5272442573449485,
}
RESAMPLED = {
    (8000, 0): 0.07386685786339171,
    (8000, 1): 0.09220884121620405,
    (8000, 777): 0.25483893855058243,
    (8000, 17999): -0.013492299304790858,
    (11025, 0): 0.07386685786339171,
    (11025, 5): 0.13274718259536214,
    (11025, 6000): -0.22263912015994297,
    (11025, 13061): 0.001612146022846813,
    (22050, 0): 0.06610206173280736,
    (22050, 3): 0.13819043044398047,
    (22050, 3333): -0.18970204677279787,
    (22050, 6530): -0.10926413712552915,
    (44100, 0): 0.05510807179576641,
    (44100, 2): 0.16082707762573284,
    (44100, 1500): -0.1792401535501784,
    (44100, 3265): -0.10446915422561551,
    (96000, 0): 0.053156623582861745,
    (96000, 7): 0.3554545065752648,
    (96000, 800): 0.2882783401056853,
    (96000, 1499): -0.1497747849952726,
}


# --- the spectrogram -------------------------------------------------------------------------------------------------


def test_log_mel_energies_are_kaldis():
    samples = sound(32000)
    found = log_mel(samples - samples.mean())
    assert found.shape == (198, 128)
    for (frame, band), value in KALDI.items():
        assert found[frame, band] == pytest.approx(value, abs=1e-4)


def test_silence_is_the_floor_of_the_energy():
    np.testing.assert_allclose(log_mel(np.zeros(560)), np.full((2, 128), np.log(np.finfo(np.float32).eps)))


def test_a_constant_offset_is_not_heard():
    samples = sound(4000).astype(np.float64)
    np.testing.assert_allclose(log_mel(samples + 0.25), log_mel(samples), atol=1e-6)


@pytest.mark.parametrize(
    ("rate", "length"), [(8000, 18000), (11025, 13062), (22050, 6531), (44100, 3266), (96000, 1500)]
)
def test_resampling_is_torchaudios(rate, length):
    found = resample(sound(9000), rate, RATE)
    assert len(found) == length
    for (at, place), value in RESAMPLED.items():
        if at == rate:
            assert found[place] == pytest.approx(value, abs=1e-9)


def test_a_tone_keeps_its_frequency_and_length_through_another_rate():
    time = np.arange(44100) / 44100
    found = resample(np.sin(2 * np.pi * 1000 * time), 44100, RATE)
    assert len(found) == RATE
    inside = slice(200, -200)
    np.testing.assert_allclose(found[inside], np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)[inside], atol=2e-3)


def test_what_the_lower_rate_cannot_hold_is_filtered_out():
    time = np.arange(48000) / 48000
    assert np.abs(resample(np.sin(2 * np.pi * 12000 * time), 48000, RATE)[200:-200]).max() < 0.02


# --- the spectrogram of ImageBind ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "starts"), [(8, [0, 2, 4]), (2, [0, 0, 0]), (1.2, [0, 0, 0]), (5, [0, 1, 2]), (2.5, [0, 1 / 6, 1 / 3])]
)
def test_three_clips_start_evenly_and_leave_the_end_out(seconds, starts):
    found = clips(from_samples(sound(round(seconds * RATE)), RATE))
    np.testing.assert_allclose([clip.start for clip in found], starts, atol=1 / RATE)
    assert {KIND.values(clip).shape for clip in found} == {(128, 204)}
    assert KIND.values(found[0]).dtype == np.float32


def test_values_are_normalised_after_padding_with_zeros():
    recording = from_samples(sound(RATE), RATE)
    values = KIND.values(recording)
    np.testing.assert_allclose(values[:, :98] * 9.138 - 4.268, log_mel(recording.samples).T, atol=1e-5)
    np.testing.assert_allclose(values[:, 98:], 4.268 / 9.138, rtol=1e-6)


def test_a_clip_is_a_part_of_the_recording():
    samples = sound(5 * RATE)
    values = KIND.values(from_samples(samples, RATE).starting_at(1))
    np.testing.assert_allclose(values[:, :198] * 9.138 - 4.268, log_mel(samples[RATE : 3 * RATE]).T, atol=1e-5)


def test_silence_is_the_value_of_a_recording_without_sound():
    silent = KIND.values(from_samples(np.zeros(2 * RATE), RATE))
    np.testing.assert_allclose(silent[:, :198], KIND.silence, rtol=1e-6)


def test_a_bin_has_the_frequency_that_the_mel_scale_puts_there():
    bands = np.arange(BINS)
    np.testing.assert_allclose(bin_of(bin_centre(bands)), bands, atol=1e-9)
    edges = [700 * (np.exp((31.748 + step * (2840.038 - 31.748) / 129) / 1127) - 1) for step in (11, 28)]
    np.testing.assert_allclose(bin_centre([10, 27]), edges, rtol=1e-4)


@pytest.mark.parametrize(
    ("frequency", "start", "end"), [(300, 0.2, 0.4), (1500, 0.7, 0.9), (3300, 1.5, 1.7), (2600, 0.0, 0.15)]
)
def test_a_tone_is_drawn_where_its_axes_say(frequency, start, end):
    drawn = KIND.sound(from_samples(tone(2, frequency, start, end), RATE))
    assert drawn.pixels.shape == (128, 204)
    row, column = np.unravel_index(drawn.pixels.argmax(), drawn.pixels.shape)
    marks = [(int(mark.label), mark.position) for mark in drawn.hertz]
    hertz, heights = zip(*marks, strict=True)
    assert heights == tuple(sorted(heights, reverse=True))  # low frequencies at the bottom
    found = to_hertz(np.interp((row + 0.5) / 128, heights[::-1], to_mel(hertz[::-1])))
    assert abs(np.log(found / frequency)) < 0.1
    time = np.interp((column + 0.5) / 204, *zip(*[(m.position, float(m.label)) for m in drawn.seconds], strict=True))
    assert start - 0.02 < time < end + 0.02


def test_the_part_that_is_heard_is_named_and_numbered_from_the_recordings_start():
    recording = from_samples(sound(5 * RATE), RATE).starting_at(2.5)
    drawn = KIND.sound(recording)
    assert "hears 2 of 5 s, from 2.5 s on" in drawn.notes[-1]
    assert [mark.label for mark in drawn.seconds] == ["2.5", "3", "3.5", "4", "4.5"]
    assert drawn.seconds[0].position == 0
    with pytest.raises(InputError, match="start below 5 s"):
        recording.starting_at(5)


def test_padding_is_black_and_a_silent_recording_too():
    drawn = KIND.sound(from_samples(sound(RATE), RATE))
    assert not drawn.pixels[:, 98:].any()
    assert drawn.pixels[:, :98].max() == 255
    assert not KIND.sound(from_samples(np.zeros(RATE), RATE)).pixels.any()


# --- arrays and files ------------------------------------------------------------------------------------------------


def test_the_first_of_several_channels_is_read_unless_the_mean_is_asked_for():
    left, right = sound(4000), np.zeros(4000, np.float32)
    first = from_samples(np.stack((left, right), axis=1), RATE)
    np.testing.assert_array_equal(first.samples, left)
    assert first.notes == ("The recording has 2 channels; the first is read, as ImageBind does.",)
    mean = from_samples(np.stack((left, right), axis=1), RATE, channel="mean")
    np.testing.assert_allclose(mean.samples, left / 2, rtol=1e-6)


def test_integers_are_read_at_the_full_scale_of_their_type():
    values = np.array([-32768, 0, 16384, 32767] * 200, np.int16)
    np.testing.assert_allclose(from_samples(values, RATE).samples[:3], [-1, 0, 0.5])
    np.testing.assert_allclose(from_samples(np.array([0, 128, 192] * 200, np.uint8), RATE).samples[:3], [-1, 0, 0.5])


def test_notes_say_what_was_done():
    notes = from_samples(sound(4000), 4000).notes_at(RATE)
    assert notes == ("The recording was resampled from 4000 to 16000 Hz.", "It holds nothing above 2000 Hz.")
    assert "The recording is silent." in from_samples(np.zeros(800), RATE).notes


@pytest.mark.parametrize(
    ("samples", "rate", "match"),
    [
        (np.zeros(399), RATE, "at least 25 ms"),
        (np.zeros(0), RATE, "at least 25 ms"),
        (np.array([0.0, np.nan] * 400), RATE, "finite"),
        (np.zeros(4000), 0, "whole number from 1000 to 192000"),
        (np.zeros(4000), 16000.0, "whole number"),
        (np.zeros((4000, 9)), RATE, "1 to 8 channels"),
        (np.broadcast_to(np.float32(0), (599 * 96000, 8)), 96000, "at most 64000000 samples"),
        (np.zeros((2, 4000, 1)), RATE, r"\(sample, channel\)"),
        (np.array(["a"] * 400), RATE, "as numbers"),
        (np.broadcast_to(np.float32(0), (601 * RATE,)), RATE, "at most 600 s"),
    ],
)
def test_what_is_no_sound_is_refused(samples, rate, match):
    with pytest.raises(InputError, match=match):
        from_samples(samples, rate)


def test_another_channel_is_refused():
    with pytest.raises(InputError, match="'first' or 'mean'"):
        from_samples(sound(4000), RATE, channel="left")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("suffix", "subtype", "tolerance"),
    [("wav", "PCM_16", 1e-4), ("wav", "FLOAT", 0), ("flac", "PCM_16", 1e-4), ("ogg", "VORBIS", 0.05)],
)
def test_files_are_read_as_they_were_written(tmp_path, suffix, subtype, tolerance):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / f"breath.{suffix}"
    soundfile.write(path, sound(RATE), RATE, subtype=subtype)
    recording = read_sound(path)
    assert (recording.name, recording.seconds, recording.notes) == ("breath", 1.0, ())
    np.testing.assert_allclose(recording.samples, sound(RATE), atol=tolerance)
    assert len(recording.sha256) == 64


def test_other_files_are_refused(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "sound.wav"

    def refused(match):
        with pytest.raises(InputError, match=match) as caught:
            read_sound(path)
        assert "\n" not in str(caught.value)
        assert "BytesIO" not in str(caught.value)

    refused("got a path where there is none")
    path.write_bytes(b"")
    refused("empty file")
    path.write_bytes(b"\x89PNG\r\n" + bytes(400))
    refused("cannot be read as sound")
    soundfile.write(path, sound(RATE), RATE, format="AIFF")
    refused("got AIFF")
    soundfile.write(path, np.zeros((RATE, 9), np.float32), RATE)
    refused("1 to 8 channels")
    soundfile.write(path, np.full(RATE, np.inf, np.float32), RATE, subtype="FLOAT")
    refused("finite")
    soundfile.write(path, sound(300), RATE)
    refused("at least 25 ms")


def test_without_soundfile_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    with pytest.raises(ImportError, match=r"pip install matex\[audio\]"):
        read_sound(tmp_path / "sound.wav")


def test_a_rate_without_a_usual_divisor_is_refused():
    with pytest.raises(InputError, match="usual rate"):
        resample(np.zeros(4000), 16001, RATE)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.wav", b"hello", "^Expected sound in a .wav file, got text: .*Copy or export it again.$"),
        ("a.flac", b"\x01\x02", "^Expected sound in a .flac file, got unknown content: "),
        ("a.wav", b"", "^Expected a sound file, got an empty one: "),
        ("a.wav", b"%PDF-1.7", "^Expected an image, got a PDF: "),
        ("a.wav", b"RIFF\x24\0\0\0WAVEfmt ", "^Expected an image, got a sound: .*with a model that hears them"),
        ("a.png", b"OggS\0\2", "^Expected an image, got a sound: "),
        ("a.png", b"hello", "^Expected an image, got text: "),
    ],
)
def test_what_is_read_as_an_image_and_is_none_names_sounds(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        matex.read(tmp_path / name)


def test_a_sound_file_is_known_by_its_content(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    for suffix, kind in (("wav", "WAV"), ("flac", "FLAC"), ("ogg", "OGG")):
        soundfile.write(tmp_path / "sound", sound(RATE), RATE, format=kind)
        assert is_sound_file(tmp_path / "sound"), suffix
        assert draw(str(tmp_path / "sound"), KINDS["imagebind"]).name == "sound"
    (tmp_path / "picture.wav").write_bytes(b"RIFF\0\0\0\0WEBPVP8 ")
    assert not is_sound_file(tmp_path / "picture.wav")
    assert not any(map(is_sound, (tmp_path, tmp_path / "absent.wav", "a\0b", 3, None)))
