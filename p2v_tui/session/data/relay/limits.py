"""All times and limits of the relay, in seconds and bytes unless something else is said."""

# How often it looks for tunnels and checks timeouts.
TICK_SECONDS = 0.1
# The same without a tunnel: virt-v2v waits for the next one.
WAITING_TICK_SECONDS = 0.02
# How often relay.status is written, if it has changed. A change of state is written at once.
STATUS_SECONDS = 0.5

# When a tunnel that did not answer is retried: the first pause doubles up to the last one.
FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 2.0
# Enough for a few round trips on a slow, busy link.
HANDSHAKE_SECONDS = 20.0
# The same while nothing serves the client and an older tunnel could be tried.
HURRIED_SECONDS = 5.0
# How long a working tunnel that a newer one replaces may be silent before it counts as stalled.
STALLED_SECONDS = 2.0
# How often the tunnel is tried while no client is there.
IDLE_PROBE_SECONDS = 30.0
# How long an answer may take before the tunnel itself is checked, and how often it is checked then.
PROBE_SECONDS = 5.0
# How long the relay of a conversion whose virt-v2v was never started waits for a tunnel: p2v-tui was killed.
UNSTARTED_SECONDS = 45.0
# How long the threads of the disks may take to end.
END_SECONDS = 5.0

# How much either side may make us store.
MAX_OPTION_BYTES = 64 * 1024
MAX_OPTIONS = 64
MAX_ANSWER_BYTES = 64 * 1024
MAX_LENGTH = 64 << 20
MAX_OPEN_REQUESTS = 256
MAX_CLIENTS = 16
# How many invalid answers in a row a server may send.
MAX_FAULTS = 5
MAX_REFUSALS_LOGGED = 100

# How much of the client's requests is read at once.
REQUESTS_BYTES = 8192
# Twice the window of an ssh channel: more in flight makes nothing faster.
ENOUGH_BYTES = 4 << 20
# Between a tunnel and a client.
BUFFER_BYTES = 1 << 20
# The blocks in which a disk is counted: their least size, and their largest number.
SMALLEST_BLOCK = 64 * 1024
MAX_BLOCKS = 1 << 20
