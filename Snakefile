# Runs the chapters that a plan lists; `densing build` writes the plan and decides what is stale.
# Elsewhere: densing build --executor slurm --profile PROFILE (any executor that Snakemake has).
import json
from pathlib import Path

PLAN = json.loads(Path(config["plan"]).read_text(encoding="utf-8"))
FOLDER = PLAN["folder"]


rule all:
    input:
        [f"{FOLDER}/{slug}.ipynb" for slug in PLAN["slugs"]],


rule chapter:
    output:
        FOLDER + "/{slug}.ipynb",
    threads: 1
    params:
        python=PLAN["python"],
        folder=FOLDER,
        parameters=json.dumps(PLAN["parameters"]),
    shell:
        "{params.python:q} -m densing.book.execute {wildcards.slug} {params.folder:q} --parameters {params.parameters:q}"
