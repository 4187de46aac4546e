import sys; sys.path.insert(0,'/work/main/tests/apps'); sys.path.insert(0,'/work/main/tests')
from tensors import parameters
import numpy as np,h5py
def d(a,b):
    p,q=parameters(a),parameters(b); print(a[-10:],b[-12:],'max diff',max(np.abs(p[k]-q[k]).max() for k in p))
T='/tmp/review/'
d(T+'b0-m.h5',T+'b0r-m.h5'); d(T+'b0-m.h5',T+'b0n-m.h5'); d(T+'e2-m.h5',T+'e2n-m.h5')
for x,y in (('b0','b0n'),('e2','e2n')):
    a,b=h5py.File(T+x+'.h5')['pushes'],h5py.File(T+y+'.h5')['pushes']; print(x,y,'staleness differ', (a['staleness'][:]!=b['staleness'][:]).sum(), 'worker differ',(a['worker'][:]!=b['worker'][:]).sum())
