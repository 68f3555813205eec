#!/usr/bin/env python3
"""What recurrent_capture.py writes is what PyTorch computes, array by array; needs PyTorch and no tool of ours.

    $(tools/peers/environment) tools/capture/test_capture.py

check_capture.py has rnn-verify judge captures of all frameworks; here the file itself is read.
"""
import contextlib
import io
import json
import os
import tempfile
import unittest

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurrent_capture import CaptureError, capture

# Sizes that all differ, so that no axis can stand for another.
T, N, D, H, P, C, WORDS = 4, 7, 3, 6, 2, 5, 11


class Tagger(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.embed = nn.Embedding(WORDS, D)
        self.encoder = nn.LSTM(D, H, batch_first=True, **options)
        self.out = nn.Linear(H, C)

    def forward(self, ids):
        return self.out(self.encoder(self.embed(ids))[0])


class CaptureTests(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(5)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "captured.npz")

    def taken(self, *arguments, **options):
        """The configuration and the arrays of what is captured."""
        self.assertEqual(capture(*arguments, path=self.path, **options), self.path)
        with np.load(self.path, allow_pickle=False) as file:
            arrays = dict(file)
        return json.loads(bytes(arrays.pop("config"))), arrays

    def equal(self, arrays, expected, exactly=True):
        for name, value in expected.items():
            value = value.detach().numpy()
            self.assertEqual((arrays[name].dtype, arrays[name].shape), (value.dtype, value.shape), name)
            if exactly:
                self.assertTrue(np.array_equal(arrays[name], value), name)
            else:
                np.testing.assert_allclose(arrays[name], value, rtol=1e-12, atol=1e-14, err_msg=name)

    def test_classes_have_names(self):
        names = [f"class {index}" for index in range(C)]
        ids = torch.randint(WORDS, (N, T))
        config, _ = self.taken(Tagger(), ids, class_names=tuple(names))
        self.assertEqual(config["class_names"], names)
        self.assertNotIn("class_names", self.taken(Tagger(), ids, overwrite=True)[0])
        for model, x, wrong, message in [(Tagger(), ids, names[1:], "4 class_names for 5 classes"),
                                         (Tagger(), ids, range(C), "no text"),
                                         (nn.GRU(D, H), torch.randn(T, N, D), names, "linear layer")]:
            with self.assertRaisesRegex(CaptureError, message):
                self.taken(model, x, class_names=wrong, overwrite=True)

    def test_layers_of_every_cell(self):
        for kind, options, cell in [(nn.RNN, {}, "rnn_tanh"), (nn.RNN, {"nonlinearity": "relu"}, "rnn_relu"),
                                    (nn.LSTM, {}, "lstm"), (nn.LSTM, {"proj_size": P}, "lstm"), (nn.GRU, {}, "gru")]:
            with self.subTest(cell=cell, **options):
                rnn = kind(D, H, num_layers=2, bidirectional=True, **options).double()
                x = torch.randn(T, N, D, dtype=torch.float64)
                config, arrays = self.taken(rnn, x, overwrite=True)
                self.assertEqual((config["schema"], config["cell"], config["loss"]["kind"]), (1, cell, "vjp"))
                x.requires_grad_()
                output, last = rnn(x)
                h, c = last if kind is nn.LSTM else (last, None)
                states = {"h_n": h} | ({} if c is None else {"c_n": c})
                self.equal(arrays, {f"weights/{k}": v for k, v in rnn.state_dict().items()})
                self.equal(arrays, {"inputs/x": x, "outputs/output": output}
                           | {f"outputs/{k}": v for k, v in states.items()})
                # The upstream gradients are the file's own; what follows from them is PyTorch's.
                up = {k.removeprefix("inputs/grad_"): torch.from_numpy(v) for k, v in arrays.items() if "/grad_" in k}
                self.assertIn("output", up)
                loss = sum((value * up[k]).sum() for k, value in ({"output": output} | states).items() if k in up)
                rnn.zero_grad()
                loss.backward()
                self.equal(arrays, {"grads/x": x.grad} | {f"grads/{k}": v.grad for k, v in rnn.named_parameters()},
                           exactly=False)

    def test_initial_states_are_inputs(self):
        rnn, x = nn.LSTM(D, H), torch.randn(T, N, D)
        h, c = torch.randn(1, N, H), torch.randn(1, N, H)
        _, arrays = self.taken(rnn, x, (h, c))
        output, (h_n, c_n) = rnn(x, (h, c))
        self.equal(arrays, {"inputs/h_0": h, "inputs/c_0": c, "outputs/output": output, "outputs/h_n": h_n,
                            "outputs/c_n": c_n})

    def test_lengths_are_packed_sequences(self):
        rnn, x, lengths = nn.GRU(D, H), torch.randn(T, N, D), [2, 4, 1, 3, 4, 2, 1]
        _, arrays = self.taken(rnn, x, lengths=lengths)
        packed, last = rnn(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False))
        output, _ = pad_packed_sequence(packed, total_length=T)
        self.assertEqual(arrays["inputs/lengths"].tolist(), lengths)
        self.equal(arrays, {"outputs/output": output, "outputs/h_n": last})

    def test_a_tagger_has_its_loss_and_its_gradients(self):
        model = Tagger().double()
        ids, tags = torch.randint(0, WORDS, (N, T)), torch.randint(0, C, (N, T))
        tags[2, 1:] = -100
        config, arrays = self.taken(model, ids, targets=tags, loss="cross_entropy", reduction="sum")
        self.assertEqual((config["head"], config["batch_first"]), ("linear", True))
        self.assertEqual(config["loss"], {"kind": "cross_entropy", "reduction": "sum", "ignore_index": -100, "steps": "all"})
        logits = model(ids)
        loss = nn.functional.cross_entropy(logits.reshape(-1, C), tags.reshape(-1), reduction="sum")
        model.zero_grad()
        loss.backward()
        self.equal(arrays, {"inputs/x": ids, "inputs/targets": tags, "outputs/logits": logits})
        self.equal(arrays, {f"weights/{k}": v for k, v in model.state_dict().items()})
        np.testing.assert_allclose(arrays["outputs/loss"], loss.item(), rtol=1e-12)
        self.equal(arrays, {f"grads/{k}": v.grad for k, v in model.named_parameters()}, exactly=False)

    def test_the_model_is_left_as_it_was(self):
        model = Tagger(dropout=0.0).train()
        before = {k: v.clone() for k, v in model.state_dict().items()}
        ids = torch.randint(0, WORDS, (N, T))
        self.taken(model, ids)
        self.assertTrue(model.training)
        self.assertTrue(all(p.grad is None for p in model.parameters()))
        self.assertTrue(all(torch.equal(v, before[k]) for k, v in model.state_dict().items()))

    def test_a_frozen_parameter_has_no_gradient(self):
        model = Tagger()
        model.embed.requires_grad_(False)
        model.encoder.bias_ih_l0.requires_grad_(False)
        _, arrays = self.taken(model, torch.randint(0, WORDS, (N, T)))
        grads = {key for key in arrays if key.startswith("grads/")}
        self.assertEqual(grads, {f"grads/encoder.{key}" for key in ("weight_ih_l0", "weight_hh_l0", "bias_hh_l0")})
        self.assertIn("weights/embed.weight", arrays)
        self.assertFalse(model.embed.weight.requires_grad)
        ids, tags = torch.randint(0, WORDS, (N, T)), torch.randint(0, C, (N, T))
        model.requires_grad_(False)
        _, arrays = self.taken(model, ids, overwrite=True)
        self.assertFalse([key for key in arrays if key.startswith("grads/")])
        with self.assertRaisesRegex(CaptureError, "everything is frozen"):
            self.taken(model, ids, targets=tags, loss="cross_entropy", overwrite=True)

    def test_double_is_computed_in_double_by_a_copy(self):
        rnn, x = nn.LSTM(D, H), torch.randn(T, N, D)
        state = torch.randn(1, N, H), torch.randn(1, N, H)
        _, arrays = self.taken(rnn, x, state, double=True)
        self.assertEqual(rnn.weight_ih_l0.dtype, torch.float32)
        twin = nn.LSTM(D, H).double()
        twin.load_state_dict(rnn.state_dict())
        output, (h_n, _) = twin(x.double(), tuple(s.double() for s in state))
        self.equal(arrays, {"inputs/x": x.double(), "outputs/output": output, "outputs/h_n": h_n})
        self.assertTrue(all(v.dtype == np.float64 for k, v in arrays.items()))
        ids = torch.randint(0, WORDS, (N, T))
        self.assertEqual(self.taken(Tagger(), ids, double=True, overwrite=True)[1]["inputs/x"].dtype, np.int64)
        with self.assertRaisesRegex(CaptureError, "double= is for PyTorch"):
            self.taken("model.onnx", x, double=True, overwrite=True)

    def advice(self, *arguments, **options):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.taken(*arguments, overwrite=True, **options)
        return said.getvalue()

    def test_weights_that_could_change_unnoticed_are_named_in_one_line(self):
        # Inputs so small that no output tells of the input weights.
        rnn, x = nn.RNN(D, H), torch.randn(T, N, D) * 1e-6
        before = {k: v.clone() for k, v in rnn.state_dict().items()}
        said = self.advice(rnn, x, gradients=False)
        self.assertEqual(said.count("\n"), 1)
        self.assertIn("captured.npz: a change of 1 % of the largest weight could go unnoticed in weight_ih_l0; "
                      "double=True, gradients", said)
        self.assertNotIn("weight_hh_l0", said)
        self.assertEqual(self.advice(rnn, x, gradients=False, double=True), "")
        self.assertEqual(self.advice(rnn, x * 1e6, gradients=False), "")
        self.assertEqual(self.advice(rnn, x, gradients=False, advice=False), "")
        self.assertTrue(all(torch.equal(v, before[k]) for k, v in rnn.state_dict().items()))

    def test_the_same_seed_writes_the_same_bytes(self):
        rnn, x = nn.RNN(D, H), torch.randn(T, N, D)
        self.taken(rnn, x, seed=3)
        with open(self.path, "rb") as file:
            first = file.read()
        self.taken(rnn, x, seed=3, overwrite=True)
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), first)

    def test_what_a_fixture_cannot_say_leaves_no_file(self):
        x = torch.randn(T, N, D)
        for words, arguments, options in [
            ("where to?", (nn.GRU(D, H), x), {"path": None}), ("is an .npz file", (nn.GRU(D, H), x, "a.pt"), {"path": None}),
            ("go together", (nn.GRU(D, H), x), {"loss": "mse"}), ("is none of", (nn.GRU(D, H), x), {"loss": "l1", "targets": x}),
            ("one step", (nn.LSTMCell(D, H), x[0]), {}), ("no PyTorch module", (object(), x), {}),
        ]:
            with self.subTest(words=words), self.assertRaises(CaptureError) as raised:
                capture(*arguments, **({"path": self.path} | options))
            self.assertIn(words, str(raised.exception))
            self.assertFalse(os.path.exists(self.path))

    def test_a_file_is_replaced_only_when_asked(self):
        rnn, x = nn.RNN(D, H), torch.randn(T, N, D)
        self.taken(rnn, x)
        with self.assertRaisesRegex(CaptureError, "overwrite=True"):
            capture(rnn, x, self.path)
        self.taken(rnn, x * 2, overwrite=True)


if __name__ == "__main__":
    unittest.main()
