"""Every time and every bound of the relay. Seconds and bytes, where nothing else is said."""

# How often tunnels are looked for and times looked at.
TICK_SECONDS = 0.1
# While there is no tunnel, somebody waits for the next one.
WAITING_TICK_SECONDS = 0.02
# How often relay.status is written, if it has changed. A change of state is written at once.
STATUS_SECONDS = 0.5

# When a tunnel that did not answer is tried again: the first pause doubles up to the last one.
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 2.0
# A slow, busy link may take its time for a few round trips.
HANDSHAKE_SECONDS = 20.0
# The same while nothing else serves the client and there is an older tunnel that could be tried.
HURRIED_SECONDS = 5.0
# How long a working tunnel that a newer one replaces may be silent before it counts as stalled.
STALLED_SECONDS = 2.0
# How often the tunnel is tried while no client is there.
IDLE_PROBE_SECONDS = 30.0
# How long an answer may take before the tunnel is asked whether it lives, and how often it is asked then.
PROBE_SECONDS = 5.0
# How long the relay of a conversion whose virt-v2v was never started waits for a tunnel: p2v-tui was killed.
UNSTARTED_SECONDS = 45.0
# How long the threads of the disks may take to end.
END_SECONDS = 5.0

# What either side may make us keep.
MAX_OPTION_BYTES = 64 * 1024
MAX_OPTIONS = 64
MAX_ANSWER_BYTES = 64 * 1024
MAX_LENGTH = 64 << 20
MAX_OPEN_REQUESTS = 256
MAX_CLIENTS = 16
# How often in a row a server may say what none says.
MAX_FAULTS = 5
MAX_REFUSALS_LOGGED = 100

# How much of the client's requests is read at once.
REQUESTS_BYTES = 8192
# Twice the window of an ssh channel: more on its way makes nothing faster.
ENOUGH_BYTES = 4 << 20
# Of the data between a tunnel and a client.
BUFFER_BYTES = 1 << 20
# How a disk is counted: in blocks, at least so large, and so many of them.
SMALLEST_BLOCK = 64 * 1024
MAX_BLOCKS = 1 << 20
