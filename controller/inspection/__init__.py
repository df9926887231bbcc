"""A look inside for people: status, a table of storages, and doctor, what is wrong and why.

Both only read, and `commandline` is that of both. What they say is worked out by pure functions of
API objects; the controller imports none of it.

- status: `listing` reads and prints, `rows` are what it prints, in columns by `table`; `memory` is
  what pods take
- doctor: a `patient` is examined by `doctor`, and each result is a `finding`. There is a module
  for each subject: `crd`, `deployment`, `grants`, `credentials`, `corecheck` with `coreservice`
  and `corestate`, `pullfailures`, `clocks`, `apiservices`, `troubles`
- both: `cluster` reads objects, or says why one may not; `terminal` is for a person alone
"""
