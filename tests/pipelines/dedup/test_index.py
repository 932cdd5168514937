"""Indexes of documents: on disk and back, and joined."""

import pytest

from lm.errors import InputError
from pipelines.dedup import corpus as corpus_module
from pipelines.dedup.index import DocumentIndex, read_document_index
from pipelines.dedup.minhash_config import MinHashConfig
from tests.pipelines.published import doc_id, publish_documents

LONG = " ".join(f"word{number}" for number in range(60))
OTHER = " ".join(f"other{number}" for number in range(60))


def test_indexes_survive_the_disk_and_join(tmp_path):
    sources = [
        publish_documents(tmp_path / "a", [LONG, LONG.upper(), "too short"]),
        publish_documents(tmp_path / "b", [OTHER, LONG, LONG], first=3),
    ]
    folders = [
        corpus_module._index_partition(MinHashConfig(), (source, tmp_path / f"index{number}"))
        for number, source in enumerate(sources)
    ]
    index = read_document_index(folders[0])
    assert index.doc_ids.to_pylist() == [doc_id(0), doc_id(1), doc_id(2)]
    assert index.valid.tolist() == [True, True, False]
    assert [(each.members.tolist(), each.keys.shape) for each in index.bands] == [([0, 1], (30, 2))]
    joint = DocumentIndex.join([index, read_document_index(folders[1])])
    assert [each.members.tolist() for each in joint.bands] == [[0, 1], [3, 4, 5]]
    assert joint.content()[1] == joint.content()[4] != 0 == joint.content()[2]
    (folders[0] / "documents.arrow").write_text("no table")
    with pytest.raises(InputError, match=r"documents\.arrow: not an index of documents"):
        read_document_index(folders[0])


def test_indexes_of_different_schemes_refuse_to_join(tmp_path):
    source = publish_documents(tmp_path / "a", [LONG, LONG.upper(), "too short"])
    parts = [
        read_document_index(corpus_module._index_partition(MinHashConfig(seed=seed), (source, tmp_path / str(seed))))
        for seed in (1, 2)
    ]
    with pytest.raises(InputError, match=r"different schemes cannot be compared: .*seed=1.*seed=2"):
        DocumentIndex.join(parts)
