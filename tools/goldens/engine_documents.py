# Prints the losses in DocumentTests.swift of document D0's PyTorch script, seeded (needs torch).
import torch
import torch.nn as nn

torch.manual_seed(0)
N, T, D, H, C = 32, 20, 64, 128, 10
rnn, classifier = nn.RNN(D, H, batch_first=True), nn.Linear(H, C)
parameters = [*rnn.parameters(), *classifier.parameters()]
opt = torch.optim.Adam(parameters, lr=1e-3)
for step in range(4):
    x = torch.randn(N, T, D)
    y = torch.randint(0, C, (N, T))
    logits = classifier(rnn(x)[0])
    loss = nn.CrossEntropyLoss()(logits.reshape(-1, C), y.reshape(-1))
    opt.zero_grad()
    loss.backward()
    norm = nn.utils.clip_grad_norm_(parameters, max_norm=1.0)
    print(loss.item(), norm.item(), y[0, :3].tolist())
    opt.step()
