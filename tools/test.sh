#!/bin/bash
# Runs every test; arguments go to pytest. Two runs, of which both must pass: the tests that may
# stand beside others, on every core (at most WORKERS), then those marked `alone`, one by one.
#
# Exit code: that of the run that failed, the first one's if both did; 5 when neither had a test.

set -uo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-.venv/bin/python}
WORKERS=${WORKERS:-4}
EMPTY=5 INTERRUPTED=2
NUMBA_CACHE_DIR=$("$PYTHON" -m appliance.shm.cache) || exit
export NUMBA_CACHE_DIR

workers=$(nproc)
[ "$workers" -le "$WORKERS" ] || workers=$WORKERS
[ "$workers" -gt 1 ] || workers=0              # one core: no processes beside this one

"$PYTHON" -m pytest -rs --part together -n "$workers" --dist loadfile "$@"
together=$?
[ $together -ne $INTERRUPTED ] || exit $together
"$PYTHON" -m pytest -rs --part alone "$@"
alone=$?

[ $together -eq 0 ] || [ $together -eq $EMPTY ] || exit $together
[ $alone -ne $EMPTY ] || exit $together
exit $alone
