/* SPDX-License-Identifier: ISC */
/*
 * wire: frames between client and agent, and between the agent's own processes.
 * One SOCK_SEQPACKET message is one frame: a header, then fields in ascending tag order.
 * All numbers are little-endian. docs/protocol.md is the reference.
 * Reads and writes buffers the caller owns; knows nothing of sockets or of meaning.
 *
 *	header  u16 version | u16 code | u32 request id | u32 size of all fields
 *	field   u16 tag | u32 size | bytes
 *	list    a field whose bytes are items: u32 size | bytes
 */
#ifndef MORTISE_WIRE_H
#define MORTISE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define WIRE_VERSION     1
#define WIRE_HEADER_SIZE 12
#define WIRE_FRAME_MAX   131072
#define WIRE_RECORD_MAX  33554432 /* the same form at rest, in the store */
#define WIRE_TAG_LIMIT   512      /* tags are 1 to 511, in each channel */
#define WIRE_FIELDS_MAX  64       /* in one run */
#define WIRE_TOKEN_SIZE  16
#define WIRE_BATCH_MAX   256 /* paths in one get */
#define WIRE_SETS_MAX    256 /* values in one set-batch: as many as can be had again at once */
#define WIRE_WATCH_MAX   64  /* paths in one watch */
#define WIRE_TEXT_MAX    1024
#define WIRE_CHUNK_MAX   65536 /* bytes of policy or audit in one frame */

/* What a client asks; the code of a request. */
enum wire_opcode {
	WIRE_HELLO = 1,
	WIRE_STATUS = 2,
	WIRE_WHOAMI = 3,
	WIRE_INIT = 4,
	WIRE_UNSEAL = 5,
	WIRE_SEAL = 6,
	WIRE_GET = 16,
	WIRE_SET = 17,
	WIRE_LIST = 18,
	WIRE_SHOW = 19,
	WIRE_DELETE = 20,
	WIRE_UNDELETE = 21,
	WIRE_META = 22,
	WIRE_MOVE = 23,
	WIRE_ROLLBACK = 24,
	WIRE_DESTROY = 25,
	WIRE_WATCH = 26,
	WIRE_SET_BATCH = 27,
	WIRE_ROTATE = 28,
	WIRE_HYGIENE = 29,
	WIRE_POLICY_STAGE = 32,
	WIRE_POLICY_APPLY = 33,
	WIRE_POLICY_SHOW = 34,
	WIRE_POLICY_CHECK = 35,
	WIRE_POLICY_WHO = 36,
	WIRE_POLICY_MAY = 37,
	WIRE_POLICY_ROLLBACK = 38,
	WIRE_POLICY_RESET = 39,
	WIRE_AUDIT_SHOW = 48,
	WIRE_AUDIT_VERIFY = 49,
	WIRE_AUDIT_KEY = 50,
	WIRE_VERIFY = 51,
	WIRE_AUDIT_ACKNOWLEDGE = 52,
	WIRE_SLOT_LIST = 80,
	WIRE_SLOT_ADD = 81,
	WIRE_SLOT_REMOVE = 82,
	WIRE_SLOT_TEST = 83,
	WIRE_SLOT_RESEAL = 84,
	WIRE_SLOT_SUSPEND = 85,
	WIRE_SLOT_CHANGE_PIN = 86,
	WIRE_GATEWAY = 64, /* kept free: a gateway presents its client's descriptor */
	WIRE_REKEY = 88,
	WIRE_BACKUP = 89,
	WIRE_RECOVER = 90,
	WIRE_DOCTOR = 91,
	WIRE_BACKUP_STAGE = 92,
	WIRE_BACKUP_VERIFY = 93,
	WIRE_CLOCK_ACCEPT = 94,
};

/*
 * The code of a reply is an enum mortise_status, or this: the kernel cannot name the
 * connector, so the agent wants HELLO with the CHALLENGE it sent, and then the request again.
 */
#define WIRE_GREET 256

/*
 * What a field is, between client and agent. Of the other two channels that frames have, each has
 * tags of its own: processes.h for the agent's processes, records.h for the records of the store.
 */
enum wire_tag {
	WIRE_TAG_CHALLENGE = 1, /* 16 bytes */
	WIRE_TAG_TEXT = 2,      /* for a person, UTF-8; one line, but the first policy in INIT */
	WIRE_TAG_PATH = 3,
	WIRE_TAG_PATHS = 4,       /* list of paths */
	WIRE_TAG_VERSION = 5,     /* number */
	WIRE_TAG_LABEL = 6,       /* "current", "previous", "pending"; of a caller, the LSM label */
	WIRE_TAG_VALUE = 7,       /* the secret bytes */
	WIRE_TAG_STATUS = 8,      /* number, inside ITEMS */
	WIRE_TAG_ITEMS = 9,       /* list; each item is a run of fields */
	WIRE_TAG_TOKEN = 10,      /* 16 random bytes that make a write happen once */
	WIRE_TAG_EXPECT = 11,     /* number: the version that must be the current one; 0: none */
	WIRE_TAG_IF_CHANGED = 12, /* number 1 */
	WIRE_TAG_CURSOR = 13,     /* opaque; given back to go on */
	WIRE_TAG_CHANGED = 14,    /* number 0 or 1 */
	WIRE_TAG_NAME = 15,
	WIRE_TAG_NUMBER = 16, /* number: a count, an id, a verdict; see the opcode */
	WIRE_TAG_USER = 17,
	WIRE_TAG_GROUP = 18,
	WIRE_TAG_VERB = 19,
	WIRE_TAG_RECOVERY = 20,   /* the recovery key as a person types it */
	WIRE_TAG_UNTIL_BOOT = 21, /* number 1 */
	WIRE_TAG_SLOT_KIND = 22,  /* "tpm2", "pkcs11", "none" or another of slots.h */
	WIRE_TAG_DRY_RUN = 23,    /* number 1 */
	WIRE_TAG_CHUNK = 24,      /* up to 65,536 bytes of a policy file or of the audit log */
	WIRE_TAG_OFFSET = 25,     /* number */
	WIRE_TAG_MORE = 26,       /* number 1: ask again with CURSOR */
	WIRE_TAG_RULE = 27,
	WIRE_TAG_TIME = 28,   /* number: microseconds since 1970-01-01T00:00Z */
	WIRE_TAG_DONE = 29,   /* number: units of work done so far */
	WIRE_TAG_TOTAL = 30,  /* number: units of work in all; in SHOW, bytes of a value */
	WIRE_TAG_KEY_ID = 31, /* four characters that name a recovery key */
	WIRE_TAG_PREFIX = 32,
	WIRE_TAG_DELETED = 33,    /* number: when, as TIME; absent: not deleted */
	WIRE_TAG_UNIT = 34,       /* systemd units, by blanks; or "?" */
	WIRE_TAG_EXE = 35,        /* the path of a program; or "?" */
	WIRE_TAG_FORCE = 36,      /* number 1 */
	WIRE_TAG_PIN = 37,        /* of a token, as it is typed */
	WIRE_TAG_URI = 38,        /* of a PKCS #11 token (RFC 7512), without a PIN */
	WIRE_TAG_PCRS = 39,       /* number: bit n stands for PCR n */
	WIRE_TAG_PUBLIC_KEY = 54, /* PEM; of an escrow key, as it is typed */
	WIRE_TAG_SHARES = 55,     /* list of a recovery key's shares, as they are typed */
	WIRE_TAG_REENCRYPT = 56,  /* number 1, in REKEY */
	WIRE_TAG_COUNTER = 57,    /* number: where a TPM's counter stands */
	WIRE_TAG_THRESHOLD = 58,  /* number: so many shares make the key */
	WIRE_TAG_BOOTS = 59,      /* number: so many boots */
	WIRE_TAG_META = 60,       /* list of KEY=VALUE; in META a KEY alone is taken away */
	WIRE_TAG_NOTE = 61,       /* of a secret or one of its versions; one line */
	WIRE_TAG_MAX_AGE = 62,    /* number: seconds that a version may be current */
	WIRE_TAG_HOOK = 63,       /* absolute path of what makes new values */
};

struct wire_field {
	const uint8_t *bytes; /* NULL if the field is absent */
	size_t size;
};

/* A frame taken apart; its fields point into the frame. */
struct wire_message {
	uint16_t code;
	uint32_t request_id;
	unsigned count; /* of fields, in ascending order of their tags */
	uint16_t tag[WIRE_FIELDS_MAX];
	struct wire_field field[WIRE_FIELDS_MAX];
};

struct wire_writer {
	uint8_t *bytes;
	size_t capacity;
	size_t size;
	uint16_t last_tag; /* of the run of fields now written */
	bool failed;       /* out of room, or tags out of order: wire_finish() tells */
};

struct wire_list {
	const uint8_t *at, *end;
};

/* A list of tags; it ends with a 0. */
#define WIRE_TAGS(...) ((const uint16_t[]){__VA_ARGS__, 0})
/* What is supposed of a caller, by `policy check` and `policy may`; NAME is his listener's. */
#define WIRE_TAGS_SUPPOSED                                                                         \
	WIRE_TAG_USER, WIRE_TAG_GROUP, WIRE_TAG_UNIT, WIRE_TAG_EXE, WIRE_TAG_LABEL, WIRE_TAG_NAME

/* Writing. A writer that failed stays failed; only wire_finish() need be checked. */
void wire_begin(struct wire_writer *writer, uint8_t *buffer, size_t capacity, uint16_t code,
	uint32_t request_id);
void wire_put(struct wire_writer *writer, unsigned tag, const void *bytes, size_t size);
void wire_put_text(struct wire_writer *writer, unsigned tag, const char *text);
void wire_put_number(struct wire_writer *writer, unsigned tag, uint64_t number);

/*
 * A list stands between list_begin and list_end; each of its items either is put whole
 * by item_put, or is a run of fields between item_begin and item_end. Each begin gives
 * the mark that its end takes.
 */
size_t wire_list_begin(struct wire_writer *writer, unsigned tag);
void wire_list_end(struct wire_writer *writer, size_t mark);
void wire_item_put(struct wire_writer *writer, const void *bytes, size_t size);
size_t wire_item_begin(struct wire_writer *writer);
void wire_item_end(struct wire_writer *writer, size_t mark);

/* Completes the header; the frame's size, or 0 if it did not fit. */
size_t wire_finish(struct wire_writer *writer) MUST_USE;

/*
 * Takes a frame or record apart. MORTISE_INVALID for anything but one whole, well-formed one of
 * our version with at most WIRE_FIELDS_MAX fields, tags 1 to 511 in ascending order. That a frame
 * is no larger than WIRE_FRAME_MAX is up to whoever receives it: its buffer has no more room.
 */
enum mortise_status wire_parse(const uint8_t *frame, size_t size, struct wire_message *out_message)
	MUST_USE;

/* The same for an item of a list that is a run of fields; code and id are 0. */
enum mortise_status wire_parse_fields(
	const uint8_t *fields, size_t size, struct wire_message *out_message) MUST_USE;

/* The code of a frame that has not been taken apart. */
uint16_t wire_code(const uint8_t header[WIRE_HEADER_SIZE]) MUST_USE;

/* The field with this tag; without bytes where there is none. */
const struct wire_field *wire_field_of(const struct wire_message *message, unsigned tag);

static inline bool wire_has(const struct wire_message *message, unsigned tag)
{
	return wire_field_of(message, tag)->bytes != NULL;
}

/* All fields that are needed, and no others than these and what is possible: see WIRE_TAGS; NULL:
 * none. */
bool wire_has_fields(
	const struct wire_message *message, const uint16_t needed[], const uint16_t possible[]);

/* The number in a field of exactly 8 bytes. MORTISE_INVALID if absent or of another size. */
enum mortise_status wire_number(
	const struct wire_message *message, unsigned tag, uint64_t *out_number) MUST_USE;

/*
 * Copies a text field into a NUL-terminated buffer. MORTISE_INVALID if it is absent,
 * holds a NUL or does not fit.
 */
enum mortise_status wire_text(const struct wire_message *message, unsigned tag, char *buffer,
	size_t buffer_size) MUST_USE;

/*
 * Walks a list field: false at its end or at the first malformed item; then
 * wire_list_is_whole() tells the two apart. An absent field is an empty list.
 */
struct wire_list wire_list_of(const struct wire_message *message, unsigned tag);
bool wire_list_next(struct wire_list *list, struct wire_field *out_item);
bool wire_list_is_whole(const struct wire_list *list);

#endif
