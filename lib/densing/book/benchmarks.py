"""The benchmarks as a page shows them."""

from typing import Any

_CONTENDERS = {
    "ours": "this book's decoder and trainer",
    "same shape": "`transformers.LlamaForCausalLM`, same shape",
    "planned heads": "the same with the heads first planned",
}


def benchmark_tables(results: dict[str, dict[str, Any]]) -> str:
    """Recorded benchmarks as Markdown tables."""
    if "training_speed" not in results:
        return "Nothing is recorded yet; `make bench` measures."
    entry = results["training_speed"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(entry["versions"].items()))
    lines = [
        f"Measured on {entry['date']} ({entry['machine']}; {versions}), {entry['rounds']} rounds in turn.",
        "",
        "| size | contender | tokens a second | processes x threads | ours is faster by |",
        "| --- | --- | ---: | --- | --- |",
    ]
    for row in entry["measured"]:
        for name, label in _CONTENDERS.items():
            best = row["best"][name]
            ratio = {"same shape": row["against_same_shape"], "planned heads": row["against_planned"]}.get(
                name
            )
            speed = row["tokens_per_second"][name][best]
            lines.append(f"| {row['size']} | {label} | {speed:,.0f} | {best} | {_interval(ratio)} |")
    lines += ["", "| size | share of the limit that matrix products set |", "| --- | ---: |"]
    lines += [f"| {row['size']} | {row['share_of_limit']:.0%} |" for row in entry["measured"]]
    return "\n".join(lines)


def _interval(ratio: dict[str, float] | None) -> str:
    return "" if ratio is None else f"{ratio['value']:.2f} [{ratio['lower']:.2f}, {ratio['upper']:.2f}]"
