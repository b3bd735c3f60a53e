"""What others take to deduplicate the same file: `python deduplicate.py semhash|datatrove FILE FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def semhash(file: Path, folder: Path) -> None:
    """Semantic deduplication of all prompts with answers.

    The model that semhash takes by default would have to be downloaded. This one has as many dimensions (256) and
    random vectors for the words of the file, which is as fast.
    """
    import numpy as np
    from model2vec import StaticModel
    from semhash import SemHash
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.trainers import WordLevelTrainer

    rows = [json.loads(line) for line in file.open(encoding="utf-8")]
    texts = [f"{r['instruction']}\n{r['input']}\n{r['output']}" for r in rows]
    tokenizer = Tokenizer(WordLevel(unk_token="[UNK]"))  # noqa: S106  no password
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.train_from_iterator(texts[:50_000], WordLevelTrainer(special_tokens=["[UNK]"], vocab_size=30_000))
    vectors = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 256)).astype(np.float32)
    model = StaticModel(vectors=vectors, tokenizer=tokenizer)
    SemHash.from_records(records=texts, model=model).self_deduplicate()


def datatrove(file: Path, folder: Path) -> None:
    """MinHash deduplication: signatures, buckets, clusters, filter; two processes, hashes and buckets by default."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter
    from datatrove.pipeline.dedup import MinhashDedupSignature as Signature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    def adapt(self: object, data: dict[str, str], path: str, number: int | str) -> dict[str, str]:
        return {"text": f"{data['instruction']}\n{data['input']}\n{data['output']}", "id": f"{path}/{number}"}

    config = MinhashConfig(hash_config=HashConfig(hash_fc="sha1"))  # xxhash 4 refuses its default
    source = folder / "source"
    source.mkdir(parents=True)
    for part in range(2):
        with file.open(encoding="utf-8") as lines, (source / f"{part}.jsonl").open("w", encoding="utf-8") as out:
            out.writelines(line for n, line in enumerate(lines) if n % 2 == part)
    reader = JsonlReader(str(source), adapter=adapt)
    stages = [
        ([reader, Signature(output_folder=f"{folder}/signatures", config=config)], 2),
        (
            [
                MinhashDedupBuckets(
                    input_folder=f"{folder}/signatures", output_folder=f"{folder}/buckets", config=config
                )
            ],
            config.num_buckets,
        ),
        (
            [MinhashDedupCluster(input_folder=f"{folder}/buckets", output_folder=f"{folder}/remove", config=config)],
            1,
        ),
        ([reader, MinhashDedupFilter(f"{folder}/remove"), JsonlWriter(f"{folder}/kept", compression=None)], 2),
    ]
    for number, (pipeline, tasks) in enumerate(stages):
        LocalPipelineExecutor(
            pipeline=pipeline, tasks=tasks, workers=min(tasks, 2), logging_dir=f"{folder}/logs/{number}"
        ).run()


if __name__ == "__main__":
    {"semhash": semhash, "datatrove": datatrove}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
