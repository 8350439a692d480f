/* SPDX-License-Identifier: ISC */
/*
 * records: what a field is in the records of the store, which have the form of frames (wire.h).
 * docs/store.md says which record has which. No number is ever used again for something else.
 */
#ifndef MORTISE_RECORDS_H
#define MORTISE_RECORDS_H

enum record_tag {
	RECORD_TAG_TEXT = 2, /* UTF-8 */
	RECORD_TAG_PATH = 3,
	RECORD_TAG_VERSION = 5, /* number */
	RECORD_TAG_VALUE = 7,   /* the secret bytes */
	RECORD_TAG_ITEMS = 9,   /* list; each item is a run of fields */
	RECORD_TAG_TOKEN = 10,  /* 16 random bytes that make a write happen once */
	RECORD_TAG_NAME = 15,
	RECORD_TAG_NUMBER = 16,    /* number */
	RECORD_TAG_SLOT_KIND = 22, /* of slot_kinds.h */
	RECORD_TAG_CHUNK = 24,     /* the bytes of a policy file */
	RECORD_TAG_OFFSET = 25,    /* number */
	RECORD_TAG_TIME = 28,      /* number: microseconds since 1970-01-01T00:00Z */
	RECORD_TAG_DONE = 29,      /* number */
	RECORD_TAG_TOTAL = 30,     /* number */
	RECORD_TAG_KEY_ID = 31,    /* four characters that name a recovery key */
	RECORD_TAG_DELETED = 33,   /* number: when, as TIME */
	RECORD_TAG_KEY = 40,       /* 32 bytes */
	RECORD_TAG_BLOB = 41,      /* what a token keeps outside itself */
	RECORD_TAG_USERS = 49,     /* list of names */
	RECORD_TAG_GROUPS = 50,    /* list of names */
	RECORD_TAG_SALT = 51,      /* 16 bytes */
	RECORD_TAG_PUBLIC = 52,    /* a slot's public half, encrypted under the master key */
	RECORD_TAG_BOX = 53,       /* the master key, encrypted to a slot */
	RECORD_TAG_META = 60,      /* list of KEY=VALUE */
	RECORD_TAG_NOTE = 61,      /* of a secret or one of its versions; one line */
	RECORD_TAG_MAX_AGE = 62,   /* number: seconds that a version may be current */
	RECORD_TAG_HOOK = 63,      /* absolute path of what makes new values */
	RECORD_TAG_PLACE = 64,     /* number: where a value stands */
	RECORD_TAG_HEAD = 65,      /* of a secret, encrypted */
	RECORD_TAG_INFO = 66,      /* of a version, encrypted */
	RECORD_TAG_WRAPPED = 67,   /* a data key, encrypted */
	RECORD_TAG_PATH_HASH = 68, /* 16 bytes */
};

#endif
