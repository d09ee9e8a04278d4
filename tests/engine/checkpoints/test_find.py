import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.checkpoints.find import Shelf
from app.errors import BadCheckpoint, UnknownName
from app.settings import Settings
from tests import tiny
from tools.embedded.ldm import BASE_KEY, write_ldm


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    tiny.make_folder(folder / "tiny")
    tiny.make_single(folder / "one.safetensors")
    tiny.write_lora(folder / "style.safetensors", tiny.parts())
    tiny.write_embedding(folder / "word.safetensors")
    return folder


def settings_at(root: Path, **changes) -> Settings:
    models = (root / "models",)
    (root / "models").mkdir(parents=True, exist_ok=True)
    plain = Settings(root=root, checkpoint_dirs=models, vae_dirs=models, lora_dirs=models, embedding_dirs=models, outputs_dir=root / "outputs")
    return replace(plain, **changes)


@pytest.fixture
def shelf(made, tmp_path):
    shutil.copytree(made / "tiny", tmp_path / "models" / "embedded" / "darkroom-base")
    shutil.copytree(made / "tiny", tmp_path / "models" / "mine" / "Zebra")
    for source, target in (("one", "sd/One"), ("style", "Lora/Style"), ("word", "anywhere/word")):
        (tmp_path / "models" / target).parent.mkdir(exist_ok=True)
        shutil.copy(made / f"{source}.safetensors", tmp_path / "models" / f"{target}.safetensors")
    return Shelf(settings_at(tmp_path))


def test_kinds_come_from_the_content_and_ours_come_last(shelf):
    assert [file.name for file in shelf.checkpoints()] == ["mine/Zebra", "sd/One", "darkroom-base"]
    assert {file.family for file in shelf.checkpoints()} == {"sd1"}
    assert all(file.problem == "" and file.native == tiny.NATIVE and file.size > 10_000 for file in shelf.checkpoints())
    assert [file.name for file in shelf.loras()] == ["Lora/Style"]
    assert [file.name for file in shelf.embeddings()] == ["anywhere/word"]
    assert shelf.vaes() == []


def test_names_that_people_type(shelf):
    one = shelf.checkpoints()[1]
    assert one.title == "sd/One"
    digest = one.short_hash()
    assert len(digest) == 10 and one.title == f"sd/One [{digest}]"
    for name in ("sd/One", "SD/one", "one", "One.safetensors", "sd/One.safetensors", f"sd/One [{digest}]", f"[{digest}]", digest, r"sd\one"):
        assert shelf.checkpoint(name) is one, name
    assert shelf.checkpoint("").name == "mine/Zebra"
    assert shelf.vae("") is None and shelf.vae("Automatic") is None and shelf.vae("None") is None


def test_a_missing_name_offers_the_nearest(shelf):
    with pytest.raises(UnknownName, match="mine/Zebra"):
        shelf.checkpoint("mine/zebar")
    with pytest.raises(UnknownName, match="Lora/Style"):
        shelf.lora("stile")
    with pytest.raises(UnknownName, match="nothing"):
        shelf.vae("nothing")


def test_the_embedded_one_is_found_wherever_the_checkpoints_are(made, tmp_path):
    shutil.copytree(made / "tiny", tmp_path / "models" / "embedded" / "darkroom-base")
    shelf = Shelf(settings_at(tmp_path, checkpoint_dirs=(tmp_path / "elsewhere",)))
    assert shelf.checkpoint("").name == "darkroom-base"


def test_no_checkpoint_at_all_is_a_sentence(tmp_path):
    with pytest.raises(BadCheckpoint, match="no checkpoint"):
        Shelf(settings_at(tmp_path)).checkpoint("")


def test_a_broken_file_is_listed_with_its_problem_but_never_the_default(made, tmp_path):
    settings = settings_at(tmp_path)
    (tmp_path / "models" / "a.safetensors").write_text("hello")
    (tmp_path / "models" / "b.ckpt").write_bytes(b"PK\x03\x04")
    (tmp_path / "models" / "Lora").mkdir()
    (tmp_path / "models" / "Lora" / "c.safetensors").touch()
    shutil.copy(made / "one.safetensors", tmp_path / "models" / "z.safetensors")
    shelf = Shelf(settings)
    assert [file.name for file in shelf.checkpoints()] == ["a", "b", "z"]
    assert shelf.checkpoint("").name == "z"
    assert "text file" in shelf.checkpoint("a").problem and "Convert" in shelf.checkpoint("b").problem
    assert "empty" in shelf.lora("c").problem


def test_refresh_sees_new_files_and_opens_no_old_one_twice(made, tmp_path):
    settings = settings_at(tmp_path)
    shutil.copy(made / "one.safetensors", tmp_path / "models" / "one.safetensors")
    shelf = Shelf(settings)
    first = shelf.checkpoint("one")
    shutil.copy(made / "one.safetensors", tmp_path / "models" / "two.safetensors")
    assert len(shelf.checkpoints()) == 1
    shelf.refresh()
    assert [file.name for file in shelf.checkpoints()] == ["one", "two"] and shelf.checkpoint("one") is first


def test_hidden_names_deep_folders_and_loops(made, tmp_path):
    settings = settings_at(tmp_path)
    for place in (".hidden/x", "1/2/3/4/5/deep", "1/2/3/4/5/6/too deep"):
        (tmp_path / "models" / place).parent.mkdir(parents=True)
        shutil.copy(made / "one.safetensors", tmp_path / "models" / f"{place}.safetensors")
    (tmp_path / "models" / "1" / "loop").symlink_to(tmp_path / "models", target_is_directory=True)
    assert [file.name for file in Shelf(settings).checkpoints()] == ["1/2/3/4/5/deep"]


def test_folders_inside_folders_keep_their_own_names(made, tmp_path):
    settings = settings_at(tmp_path, lora_dirs=(tmp_path / "models" / "Lora",))
    (tmp_path / "models" / "Lora").mkdir()
    shutil.copy(made / "style.safetensors", tmp_path / "models" / "Lora" / "style.safetensors")
    assert [file.name for file in Shelf(settings).loras()] == ["style"]


def test_hashes_survive_a_restart_and_notice_a_change(made, tmp_path):
    settings = settings_at(tmp_path)
    target = tmp_path / "models" / "one.safetensors"
    shutil.copy(made / "one.safetensors", target)
    digest = Shelf(settings).checkpoint("one").short_hash()
    again = Shelf(settings).checkpoint("one")
    assert again.known_hash() == digest
    tiny.make_single(target, seed=5)
    assert again.known_hash() == "" and again.short_hash() != digest
    (tmp_path / "outputs" / ".darkroom" / "hashes.json").write_text("{broken")
    assert Shelf(settings).checkpoint("one").short_hash() == again.short_hash()


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """models/embedded as it ships, from tiny parts."""
    embedded, made = tmp_path_factory.mktemp("family") / "embedded", tiny.embedded_parts()
    tiny.write_folder(embedded / "darkroom-base", made)
    (embedded / "darkroom-base" / "preview.webp").touch()
    for name, parts in (("darkroom-neon", made), ("darkroom-inpaint", tiny.embedded_parts(1, in_channels=9))):
        said = {BASE_KEY: "darkroom-base", "modelspec.trigger_phrase": "neon"}
        write_ldm(embedded / f"{name}.safetensors", parts.unet, parts.vae, parts.text_encoder, said, fp8=True)
    for folder in ("loras", "embeddings"):
        (embedded / folder).mkdir()
    tiny.write_lora(embedded / "loras" / "darkroom-ink.safetensors", made)
    (embedded / "loras" / "darkroom-ink.preview.webp").touch()
    tiny.write_embedding(embedded / "embeddings" / "darkroom-dusk.safetensors")
    return embedded


def test_the_embedded_family_is_listed_by_its_plain_names(family, tmp_path):
    settings = settings_at(tmp_path)
    shutil.copytree(family, tmp_path / "models" / "embedded")
    shelf = Shelf(settings)
    assert [(file.name, file.family, file.precision, file.problem) for file in shelf.checkpoints()] == [
        ("darkroom-base", "sd1", "fp32", ""), ("darkroom-inpaint", "sd1-inpaint", "fp8", ""), ("darkroom-neon", "sd1", "fp8", ""),
    ]  # fmt: skip
    assert [file.name for file in shelf.loras()] == ["darkroom-ink"] and [file.name for file in shelf.embeddings()] == ["darkroom-dusk"]
    neon, embedded = shelf.checkpoint("darkroom-neon"), tmp_path / "models" / "embedded"
    assert (neon.base, neon.triggers, neon.native, neon.preview) == (embedded / "darkroom-base", ("neon",), tiny.NATIVE, None)
    assert shelf.checkpoint("").preview == embedded / "darkroom-base" / "preview.webp"
    assert shelf.lora("darkroom-ink").preview == embedded / "loras" / "darkroom-ink.preview.webp"


def test_a_users_file_stands_for_ours_of_the_same_name(family, made, tmp_path):
    settings = settings_at(tmp_path)
    shutil.copytree(family, tmp_path / "models" / "embedded")
    shutil.copy(made / "style.safetensors", tmp_path / "models" / "Darkroom-Ink.safetensors")
    shutil.copy(made / "one.safetensors", tmp_path / "models" / "darkroom-neon.safetensors")
    shelf = Shelf(settings)
    assert [file.path.parent.name for file in shelf.loras()] == ["models"]
    assert shelf.lora("darkroom-ink").path.parent.name == "models" and shelf.checkpoint("darkroom-neon").base is None
    assert [file.name for file in shelf.checkpoints()] == ["darkroom-neon", "darkroom-base", "darkroom-inpaint"]


def test_a_file_finds_its_base_when_that_arrives_and_its_preview(family, tmp_path):
    settings = settings_at(tmp_path)
    shutil.copy(family / "darkroom-neon.safetensors", tmp_path / "models" / "mine.safetensors")
    shelf = Shelf(settings)
    assert "needs the checkpoint 'darkroom-base'" in shelf.checkpoint("mine").problem
    shutil.copytree(family / "darkroom-base", tmp_path / "models" / "embedded" / "darkroom-base")
    (tmp_path / "models" / "mine.preview.png").touch()
    shelf.refresh()
    assert shelf.checkpoint("mine").problem == "" and shelf.checkpoint("mine").preview == tmp_path / "models" / "mine.preview.png"


def test_upscalers_are_no_checkpoints(made, tmp_path):
    settings = settings_at(tmp_path)
    for folder in ("upscalers", "embedded/upscalers"):
        (tmp_path / "models" / folder).mkdir(parents=True)
        (tmp_path / "models" / folder / "x4.pt").write_bytes(b"PK\x03\x04")
        shutil.copy(made / "one.safetensors", tmp_path / "models" / folder / "x2.safetensors")
    assert Shelf(settings).checkpoints() == []
