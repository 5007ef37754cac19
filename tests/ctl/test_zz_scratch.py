import time
from tests.ctl.test_against_server import terminal
async def test_scratch_show(terminal):
    t=time.time(); d=await terminal.demo(); print(time.time()-t, d)
    for w in (["train","turnover","--no-wait"],["runs"],["models"],["jobs"],["predict","turnover","--employee","northwind-0001"],["predict","turnover","--set","department=Sales"],["facts"],["profile"],["switches"],["audit","--limit","3"],["train","turnover","--attach"],["predict","turnover","--employee","northwind-0001"],["job","abc"]):
        t=time.time(); e=await terminal(*w); print("$",*w,"->",e.code,f"{time.time()-t:.2f}s"); print(e.out, e.err)
