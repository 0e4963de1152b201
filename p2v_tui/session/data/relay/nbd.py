"""NBD's numbers and layouts, as far as the relay uses them.

https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

import struct

GREETING = struct.Struct(">8s8sH")
INIT_MAGIC = b"NBDMAGIC"
OPTION_MAGIC = b"IHAVEOPT"
FLAG_FIXED_NEWSTYLE = 1
FLAG_NO_ZEROES = 2
OPTION = struct.Struct(">8sII")
OPT_GREETING = 0  # Our own: stands for the server's greeting in a recorded handshake.
OPT_EXPORT_NAME = 1
OPT_ABORT = 2
OPT_LIST = 3
OPT_INFO = 6
OPT_GO = 7
OPT_LIST_META_CONTEXT = 9
OPT_SET_META_CONTEXT = 10
OPTIONS_PASSED_ON = (OPT_EXPORT_NAME, OPT_LIST, OPT_INFO, OPT_GO, OPT_LIST_META_CONTEXT, OPT_SET_META_CONTEXT)
ANSWER = struct.Struct(">QIII")
ANSWER_MAGIC = 0x0003E889045565A9
REP_ACK = 1
REP_INFO = 3
REP_ERROR = 1 << 31
REP_ERR_UNSUP = REP_ERROR | 1
INFO_EXPORT = struct.Struct(">HQH")
EXPORT = struct.Struct(">QH")
EXPORT_ZEROES = 124

REQUEST = struct.Struct(">IHHQQI")
REQUEST_MAGIC = 0x25609513
CMD_READ, CMD_WRITE, CMD_DISC, CMD_FLUSH, CMD_TRIM, CMD_CACHE, CMD_WRITE_ZEROES, CMD_BLOCK_STATUS = range(8)
REPLY = struct.Struct(">IIQ")
REPLY_MAGIC = 0x67446698
ESHUTDOWN = 108
MAX_ERRNO = 4095


def packed_answer(option: int, kind: int, data: bytes = b"") -> bytes:
    return ANSWER.pack(ANSWER_MAGIC, option, kind, len(data)) + data
