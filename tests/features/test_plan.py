"""What a cached partition says of itself: identity, shards, manifest, trial list."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.features.plan import (
    ITEM_BYTES,
    Identity,
    Plan,
    ShardMismatch,
    StoreError,
    read_manifest,
    read_trials,
    require_trial_list,
    skipped_table,
    write_manifest,
)
from spoofcache.protocols.snapshot import snapshot
from spoofcache.protocols.trial import Trial
from tests.corpora import IDENTITY, make_trials

MIB = 2**20
WHERE = Path("cache")


def identity(**changes):
    return Identity({**IDENTITY.settings, **changes})


def plan_of(n_trials, row_shape, dtype="float16"):
    return Plan.make("la", "train", identity(dtype=dtype), make_trials(n_trials), row_shape)


class TestIdentity:
    def test_equal_settings_in_another_order_are_the_same_identity(self):
        a, b = Identity({"dtype": "float16", "fit": "zero"}), Identity({"fit": "zero", "dtype": "float16"})
        assert a.to_json() == b.to_json() == '{"dtype": "float16", "fit": "zero"}'
        assert a.digest == b.digest

    def test_it_goes_through_json_unchanged(self):
        back = Identity.from_json(IDENTITY.to_json())
        assert back == IDENTITY
        assert back.digest == IDENTITY.digest

    def test_the_digest_is_eight_digits_that_any_change_changes(self):
        changed = [identity(fit="zero"), identity(n_samples=1), identity(front_end={"name": "other"})]
        digests = {IDENTITY.digest, *(other.digest for other in changed)}
        assert len(digests) == 4
        assert all(len(digest) == 8 and int(digest, 16) >= 0 for digest in digests)

    def test_augmentation_apart_a_view_is_the_clean_one(self):
        view = identity(augment={"name": "rawboost", "algorithm": 5, "seed": 0, "view": 2})
        assert view.clean == IDENTITY == IDENTITY.clean
        assert (view.effect, IDENTITY.effect) == ("rawboost-5", "")
        assert view.folder_name("lfcc") == f"lfcc+rawboost-5-v2-{view.digest}"
        assert IDENTITY.folder_name("lfcc") == f"lfcc-{IDENTITY.digest}"

    def test_an_effect_is_called_by_its_words_and_numbers_in_one_order(self):
        """As they come from a manifest, and sorted from a shard."""
        settings = {"name": "codec", "format": "mp3", "bitrate": [32_000.0, 96_000.0], "seed": 0, "view": 1}
        assert identity(augment=settings).effect == identity(augment=dict(sorted(settings.items()))).effect
        assert identity(augment=settings).effect == "codec-mp3"
        folder = {"name": "reverb", "folder": "sha256:0123", "seed": 0, "view": 1}
        assert identity(augment=folder).effect == "reverb"

    def test_settings_within_settings_have_dotted_names(self):
        nested = Identity({"front_end": {"layers": ["4", "5"], "name": "x"}, "dtype": "int16"})
        assert nested.flat() == {"front_end.layers": ["4", "5"], "front_end.name": "x", "dtype": "int16"}

    def test_what_is_required_and_there_is_accepted(self):
        IDENTITY.require({"fit": "repeat", "front_end.name": "test"}, WHERE)

    def test_exactly_the_fields_that_differ_are_named(self):
        with pytest.raises(ShardMismatch) as refusal:
            IDENTITY.require({"fit": "zero", "dtype": "float16", "front_end.layers": ["last"]}, WHERE)
        assert str(refusal.value) == (
            "cache: a cache of another identity: fit is 'repeat', expected 'zero'; "
            "front_end.layers is None, expected ['last']"
        )

    def test_a_field_too_many_is_a_difference_too(self):
        with pytest.raises(ShardMismatch, match=r"identity: augmentation is 'rawboost', expected None$"):
            identity(augmentation="rawboost").require_same(IDENTITY, WHERE)


class TestShards:
    def test_512_rows_of_the_large_model_go_into_one(self):
        plan = plan_of(25_380, (201, 1024))
        assert (plan.shard_size, plan.shard_count) == (512, 50)

    @pytest.mark.parametrize(
        ("row_shape", "dtype", "size"),
        [
            ((201, 1024), "float32", 326),  # 256 MiB / (201 · 1024 · 4 bytes)
            ((25, 201, 1024), "float16", 26),
            ((64_600,), "int16", 512),
            ((MIB,), "float16", 128),
            ((1_000 * MIB,), "float16", 1),  # larger than a shard may be: one row each
        ],
    )
    def test_large_rows_make_smaller_shards(self, row_shape, dtype, size):
        assert plan_of(10, row_shape, dtype).shard_size == size

    @given(st.integers(1, 10**7), st.sampled_from(sorted(ITEM_BYTES)))
    def test_a_shard_of_several_rows_stays_under_256_mebibytes(self, n, dtype):
        plan = plan_of(1, (n,), dtype)
        assert 1 <= plan.shard_size <= 512
        assert plan.shard_size * n * ITEM_BYTES[dtype] <= 256 * MIB

    @given(st.integers(1, 40), st.integers(1, 12))
    def test_the_groups_partition_the_trial_list_in_order(self, n_trials, shard_size):
        plan = Plan("la", "train", IDENTITY, "", n_trials, (2, 3), shard_size)
        groups = [list(range(n_trials))[plan.group(index)] for index in range(plan.shard_count)]
        assert [trial for group in groups for trial in group] == list(range(n_trials))
        assert plan.shard_count == math.ceil(n_trials / shard_size)
        assert all(len(group) == shard_size for group in groups[:-1])

    def test_the_size_of_the_whole_is_that_of_its_rows(self):
        assert Plan("la", "all", IDENTITY, "", 121_461, (201, 1024), 512).n_bytes == 121_461 * 201 * 1024 * 2

    def test_shards_are_numbered_with_five_digits(self):
        assert plan_of(3, (2, 3)).shard_path(Path("f"), 7) == Path("f/shard-00007.h5")


class TestManifest:
    def test_the_manifest_gives_the_plan_back(self, tmp_path):
        plan = plan_of(700, (201, 1024))
        write_manifest(tmp_path, plan, {})
        assert read_manifest(tmp_path) == plan
        assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]

    def test_it_is_json_that_a_person_can_read(self, tmp_path):
        write_manifest(tmp_path, plan_of(700, (201, 1024)), {"U_0001": "empty"})
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        assert manifest["identity"] == IDENTITY.settings
        assert (manifest["row_shape"], manifest["n_trials"], manifest["n_skipped"]) == ([201, 1024], 700, 1)

    def test_omitted_utterances_are_listed_with_their_reasons(self, tmp_path):
        write_manifest(tmp_path, plan_of(3, (2, 3)), {"U_0001": 'a.flac: "broken"', "U_0002": "missing"})
        assert (tmp_path / "skipped.tsv").read_text() == (
            'utt_id\treason\nU_0001\t"a.flac: ""broken"""\nU_0002\tmissing\n'
        )

    def test_the_list_of_an_earlier_run_is_removed_when_nothing_is_omitted_any_more(self, tmp_path):
        (tmp_path / "skipped.tsv").write_bytes(skipped_table({"U_0001": "missing"}))
        write_manifest(tmp_path, plan_of(3, (2, 3)), {})
        assert not (tmp_path / "skipped.tsv").exists()

    @pytest.mark.parametrize(
        ("files", "found"), [([], "no manifest.json"), (["shard-00000.h5"], "1 finished shards but no manifest.json")]
    )
    def test_a_folder_without_one_is_not_complete(self, tmp_path, files, found):
        for name in files:
            (tmp_path / name).touch()
        with pytest.raises(StoreError) as refusal:
            read_manifest(tmp_path)
        expected = "expected a complete cache (run preprocess.py again to finish one)"
        assert str(refusal.value) == f"{tmp_path}: {found}; {expected}"

    @pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b'{"identity": 1}', b"\x89HDF\xff"])
    def test_a_file_that_is_not_a_manifest_is_refused(self, tmp_path, content):
        (tmp_path / "manifest.json").write_bytes(content)
        with pytest.raises(StoreError, match=f"^{tmp_path}/manifest.json: not a manifest of SpoofCache"):
            read_manifest(tmp_path)

    def test_a_manifest_that_lacks_a_field_is_refused(self, tmp_path):
        write_manifest(tmp_path, plan_of(3, (2, 3)), {})
        fields = json.loads((tmp_path / "manifest.json").read_text())
        del fields["shard_size"]
        (tmp_path / "manifest.json").write_text(json.dumps(fields))
        with pytest.raises(StoreError, match=r"not a manifest of SpoofCache.*shard_size"):
            read_manifest(tmp_path)

    def test_a_manifest_of_another_format_version_is_refused(self, tmp_path):
        plan = Plan("la", "train", identity(format_version=2), "", 3, (2, 3), 512)
        write_manifest(tmp_path, plan, {})
        with pytest.raises(StoreError, match=r"manifest.json: format version 2; this SpoofCache reads version 1$"):
            read_manifest(tmp_path)


class TestTrialList:
    def test_the_trial_list_of_the_plan_is_read(self, tmp_path):
        trials = make_trials(5)
        (tmp_path / "trials.tsv").write_bytes(snapshot(trials))
        assert read_trials(tmp_path, plan_of(5, (2, 3))) == trials

    @pytest.mark.parametrize(
        "others",
        [make_trials(6), make_trials(5)[::-1], [*make_trials(4), Trial("U_0004", "spoof", "A99", "S0")]],
        ids=["longer", "another-order", "another-attack"],
    )
    def test_another_trial_list_is_refused(self, tmp_path, others):
        (tmp_path / "trials.tsv").write_bytes(snapshot(others))
        with pytest.raises(ShardMismatch, match=f"^{tmp_path}/trials.tsv: another trial list than the requested one"):
            require_trial_list(tmp_path / "trials.tsv", plan_of(5, (2, 3)))

    def test_a_missing_trial_list_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match=r"trials\.tsv: no such file; expected the trial list that the shards"):
            read_trials(tmp_path, plan_of(5, (2, 3)))
