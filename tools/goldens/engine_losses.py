# Prints the golden values of LossTests.swift and OptimizationTests.swift (needs torch).
import torch, torch.nn.functional as F
torch.set_default_dtype(torch.float64)
T,N,C=3,2,4
x=torch.tensor([((i*37)%23-11)/7 for i in range(T*N*C)]).reshape(T,N,C)
cls=torch.tensor([[0,3],[2,-100],[1,1]])
p=torch.tensor([((i*29)%13+1)/13 for i in range(T*N*C)]).reshape(T,N,C); p=p/p.sum(-1,keepdim=True)
y=torch.tensor([((i*17)%11)/10 for i in range(T*N*C)]).reshape(T,N,C)
def run(name,f):
    l=x.clone().requires_grad_(); v=f(l); v.backward()
    w=torch.arange(1,T*N*C+1).reshape(T,N,C)*1.0
    print(name, repr(v.item()), repr((l.grad*w).sum().item()), repr(l.grad[1,0,2].item()))
for e in (0,.1):
  for red in ('mean','sum'):
    run(f'ce cls {red} {e}', lambda l:F.cross_entropy(l.reshape(-1,C),cls.reshape(-1),reduction=red,label_smoothing=e))
    run(f'ce prob {red} {e}', lambda l:F.cross_entropy(l.reshape(-1,C),p.reshape(-1,C),reduction=red,label_smoothing=e))
w=torch.tensor([0.5,2,0.25,1.5])
for e in (0,.1):
  for red in ('mean','sum'):
    run(f'ce cls weighted {red} {e}', lambda l:F.cross_entropy(l.reshape(-1,C),cls.reshape(-1),weight=w,reduction=red,label_smoothing=e))
    run(f'ce prob weighted {red} {e}', lambda l:F.cross_entropy(l.reshape(-1,C),p.reshape(-1,C),weight=w,reduction=red,label_smoothing=e))
for red in ('mean','sum'):
  run(f'bce weighted {red}', lambda l:F.binary_cross_entropy_with_logits(l,y,pos_weight=w,reduction=red))
  run(f'bce {red}', lambda l:F.binary_cross_entropy_with_logits(l,y,reduction=red))
  run(f'mse {red}', lambda l:F.mse_loss(l,y,reduction=red))
# SGD & clip in f32
torch.set_default_dtype(torch.float32)
a=torch.nn.Parameter(torch.tensor([0.1,-0.7,0.3])); b=torch.nn.Parameter(torch.tensor([[1.5],[2.25]]))
a.grad=torch.tensor([0.9,-1.1,0.4]); b.grad=torch.tensor([[-2.3],[0.7]])
n=torch.nn.utils.clip_grad_norm_([a,b],1.0)
import struct
h=lambda t:[hex(struct.unpack('<I',struct.pack('<f',v))[0]) for v in t.detach().flatten().tolist()]
print(h(n),h(a.grad),h(b.grad))
torch.optim.SGD([a,b],lr=0.1).step(); print(h(a),h(b))
