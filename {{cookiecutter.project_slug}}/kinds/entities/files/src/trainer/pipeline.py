"""The pipeline that training fits to the annotated texts."""

from mlops_runtime.entities.pipelines import blank_pipeline

# Start from a pretrained pipeline instead, after `en_core_web_sm` is in the Pipfile:
#     from mlops_runtime.entities.pipelines import pretrained_pipeline
#     PIPELINE = pretrained_pipeline("en_core_web_sm")
PIPELINE = blank_pipeline("en")
"""An empty pipeline: the tokenizer of a language, by its code, and layers that learn from the texts alone."""
