"""Exit codes, so that a script can tell a refusal from a crash."""

OK = 0
# Something broke that should not have: the log has the traceback.
FAILED = 1
# A wrong argument, file, model or configuration: the message says what to do. It is also what a wrong option gives.
BAD_INPUT = 2
# All ran as it should, and what came out was not good enough: no candidate passed, or a goal was not met.
NOT_GOOD_ENOUGH = 3
# No candidate passed, and more examples could change that for one.
UNDECIDED = 4
