"""Random models around recurrent layers, and a judge of what rnn-convert makes of their files.

torch_source, torch_operations, torch_kinds, keras_source   a model, from its seed
torch_forms, keras_forms   its files, and the truth about it as its own library computes it
truth                what is compared with: modules, their inputs, outputs, states, who reads whom
converter, written   rnn-convert and what it said; what it wrote, opened by its own library
reference            a recurrent module from tensors and metadata, in NumPy
verdict, judgement   what a written file claims against the truth; one file through every conversion
report               the tables
cases, cases_*       what judge_cases.py runs
"""
