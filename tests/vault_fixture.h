/* SPDX-License-Identifier: ISC */
/*
 * A store in a private directory, a vault in it, and a second way to the file: SQL by a
 * connection of the test's own, as somebody would have who holds the disk.
 */
#ifndef MORTISE_VAULT_FIXTURE_H
#define MORTISE_VAULT_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "entry.h"
#include "mortise_test.h"
#include "slots.h"
#include "vault.h"

#define POOL_SIZE   (1024 * 1024)
#define POLICY_TEXT "[rule first]"

static const uint8_t fixture_uuid[ID_SIZE] = {0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};

struct fixture {
	char directory[64];
	char path[80];
	struct secret *master_key;
	struct secret *h[2]; /* of the slots */
	struct store *store;
	struct vault *vault;
	uint64_t writes; /* so that each has a token of its own */
};

static inline int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);

	if (!fixture || secret_pool_open(POOL_SIZE) != MORTISE_OK)
		return -1;
	/* In memory where there is a place: none of these tests is about the disk below. */
	snprintf(fixture->directory, sizeof fixture->directory, "%s/vault-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(fixture->directory) ||
		secret_random(KEY_SIZE, &fixture->master_key) != MORTISE_OK)
		return -1;
	snprintf(fixture->path, sizeof fixture->path, "%s/store.db", fixture->directory);
	*state = fixture;
	return 0;
}

static inline void close_all(struct fixture *fixture)
{
	vault_close(fixture->vault);
	store_close(fixture->store);
	fixture->vault = NULL;
	fixture->store = NULL;
}

static inline void drop_keys(struct fixture *fixture)
{
	secret_drop(&fixture->master_key);
	secret_drop(&fixture->h[0]);
	secret_drop(&fixture->h[1]);
}

static inline int tear_down(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".copy", ".old"};
	struct fixture *fixture = *state;
	char path[96];

	close_all(fixture);
	drop_keys(fixture);
	secret_pool_close();
	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(path, sizeof path, "%s%s", fixture->path, suffixes[i]);
		unlink(path);
	}
	rmdir(fixture->directory);
	free(fixture);
	return 0;
}

static inline struct store_bytes bytes_of(const char *text)
{
	return (struct store_bytes){(const uint8_t *)text, strlen(text)};
}

/* Two slots, of which each opens the master key. */
static inline enum mortise_status make_slots(struct fixture *fixture, struct vault_origin *origin)
{
	static uint8_t records[2][SLOT_RECORD_MAX];
	CLEANUP(keyring_done) struct keyring keyring = {0};

	TRY(keyring_derive(fixture->master_key, &keyring));
	for (uint64_t i = 0; i < 2; i++) {
		const struct slot_identity identity = {fixture_uuid, i + 1, 1};
		size_t size = 0;
		secret_drop(&fixture->h[i]);
		TRY(secret_random(KEY_SIZE, &fixture->h[i]));
		const struct slot_hints hints = {0};
		const struct slot_making making = {.kind = i ? SLOT_KIND_RECOVERY : SLOT_KIND_TPM2,
			.key_id = i ? "K7QF" : NULL,
			.h = fixture->h[i],
			.blob = bytes_of(i ? "" : "a blob"),
			.hints = &hints,
			.master_key = fixture->master_key,
			.label_key = keyring.key[KEY_LABEL]};
		TRY(slot_make(&identity, &making, records[i], &size));
		origin->slots[i].id = i + 1;
		origin->slots[i].record = (struct store_bytes){records[i], size};
	}
	origin->slot_count = 2;
	return MORTISE_OK;
}

static inline enum mortise_status create(struct fixture *fixture)
{
	CLEANUP(secret_drop) struct secret *audit_state = NULL;
	struct vault_origin origin = {.uuid = fixture_uuid, .master_key = fixture->master_key};

	TRY(secret_copy("audit keys", 10, &audit_state));
	origin.audit_state = audit_state;
	origin.policy = bytes_of(POLICY_TEXT);
	TRY(make_slots(fixture, &origin));
	return vault_create(fixture->store, &origin);
}

/* Opens what is on disk. */
static inline enum mortise_status reopen(struct fixture *fixture)
{
	close_all(fixture);
	TRY(store_open(fixture->directory, &fixture->store));
	return vault_open(fixture->store, fixture->master_key, &fixture->vault);
}

struct finding {
	uint64_t number;
	uint8_t record[SLOT_RECORD_MAX];
	size_t size;
};

static inline enum mortise_status take_slot(
	void *context, enum store_item kind, uint64_t number, struct store_bytes body)
{
	struct finding *finding = context;

	if (kind == STORE_SLOT && number == finding->number) {
		memcpy(finding->record, body.bytes, body.size);
		finding->size = body.size;
	}
	return MORTISE_OK;
}

/* The master key by way of a slot, as an unseal finds it on disk. */
static inline enum mortise_status open_slot(
	struct fixture *fixture, uint64_t number, struct secret **out_key)
{
	struct finding finding = {.number = number};
	struct store_meta meta;
	struct slot slot;

	TRY(store_meta(fixture->store, &meta));
	TRY(store_each_item(fixture->store, take_slot, &finding));
	TRY(slot_read((struct store_bytes){finding.record, finding.size}, &slot));
	const struct slot_identity identity = {meta.uuid, number, meta.epoch};
	return slot_open(&identity, &slot, fixture->h[number - 1], out_key);
}

/* Opens what is on disk by way of a slot: the master key may be another one. */
static inline enum mortise_status reopen_by_slot(struct fixture *fixture, uint64_t slot)
{
	struct secret *key = NULL;

	close_all(fixture);
	TRY(store_open(fixture->directory, &fixture->store));
	TRY(open_slot(fixture, slot, &key));
	secret_drop(&fixture->master_key);
	fixture->master_key = key;
	return vault_open(fixture->store, fixture->master_key, &fixture->vault);
}

static inline int set_up_vault(void **state)
{
	if (set_up(state) != 0)
		return -1;
	struct fixture *fixture = *state;
	if (store_open(fixture->directory, &fixture->store) != MORTISE_OK ||
		create(fixture) != MORTISE_OK)
		return -1;
	return vault_open(fixture->store, fixture->master_key, &fixture->vault) == MORTISE_OK ? 0
											      : -1;
}

static inline struct vault_write a_write(
	struct fixture *fixture, const char *path, const void *value, size_t size)
{
	struct vault_write write = {
		.path = path, .value = value, .size = size, .uid = 34, .time_us = 1000};

	fixture->writes++;
	memcpy(write.token, &fixture->writes, sizeof fixture->writes);
	return write;
}

static inline enum mortise_status set(struct fixture *fixture, const char *path, const char *value)
{
	struct vault_write write = a_write(fixture, path, value, strlen(value));
	struct vault_outcome outcome;

	return vault_write(fixture->vault, &write, &outcome);
}

/* The secret's value as that version has it; NULL stands for any failure. */
static inline enum mortise_status get_version(
	struct fixture *fixture, const char *path, uint64_t number, struct secret **out_value)
{
	struct vault_choice choice = {number ? VAULT_NUMBER : VAULT_CURRENT, number};
	uint64_t version;

	return vault_read(fixture->vault, path, &choice, out_value, &version);
}

static inline void assert_value(
	struct fixture *fixture, const char *path, uint64_t number, const char *expected)
{
	CLEANUP(secret_drop) struct secret *value = NULL;

	assert_int_equal(get_version(fixture, path, number, &value), MORTISE_OK);
	assert_int_equal(value->size, strlen(expected));
	assert_memory_equal(value->bytes, expected, value->size);
}

static inline void assert_unreadable(
	struct fixture *fixture, const char *path, uint64_t number, enum mortise_status expected)
{
	struct secret *value = NULL;

	assert_int_equal(get_version(fixture, path, number, &value), expected);
	assert_null(value);
}

/* The number of a secret, by which it stands on disk. */
static inline uint64_t number_of(struct fixture *fixture, const char *path)
{
	struct vault_head head;
	uint64_t number = 0;

	while (vault_next(fixture->vault, number, &number, &head) == MORTISE_OK)
		if (strcmp(head.path, path) == 0)
			return number;
	fail_msg("there is no %s", path);
	return 0;
}

/* The row of a secret, as it is on disk. */
static inline struct entry *entry_of(struct fixture *fixture, const char *path)
{
	uint64_t number = number_of(fixture, path);
	struct entry *entry = NULL;
	uint8_t *record = NULL;
	size_t size = 0;

	assert_int_equal(
		store_secret(fixture->store, vault_epoch(fixture->vault), number, &record, &size),
		MORTISE_OK);
	assert_int_equal(entry_take(number, record, size, &entry), MORTISE_OK);
	return entry;
}

/* Where the value of a version stands. */
static inline struct store_place place_of(
	struct fixture *fixture, const char *path, uint64_t version)
{
	CLEANUP(entry_drop) struct entry *entry = entry_of(fixture, path);
	const struct entry_version *found = entry_version(entry, version);

	assert_non_null(found);
	return entry_place(entry, found);
}

/* Reads all of it again. */
static inline enum mortise_status verify_all(
	struct fixture *fixture, size_t *out_values, char *out_complaint, size_t size)
{
	struct vault_check check = {0};
	size_t values = 0;

	for (*out_values = 0; !check.is_done; *out_values += values)
		TRY(vault_verify(fixture->vault, &check, 0, &values, out_complaint, size));
	return MORTISE_OK;
}

/* Runs SQL on the closed store. */
static inline void sql(const struct fixture *fixture, const char *text)
{
	sqlite3 *db = NULL;
	char *message = NULL;

	assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", text, message);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* The same, from a closed to a closed store. */
static inline void edit(struct fixture *fixture, const char *text)
{
	close_all(fixture);
	sql(fixture, text);
}

/* Is there such a run of bytes in DIRECTORY/store.db with this suffix? */
static inline bool file_has(
	const struct fixture *fixture, const char *suffix, const void *bytes, size_t size)
{
	char path[96];
	bool found = false;

	snprintf(path, sizeof path, "%s%s", fixture->path, suffix);
	FILE *file = fopen(path, "rb");
	if (!file)
		return false;
	fseek(file, 0, SEEK_END);
	size_t length = (size_t)ftell(file);
	char *content = malloc(length + 1);
	rewind(file);
	if (content && fread(content, 1, length, file) == length)
		found = memmem(content, length, bytes, size) != NULL;
	free(content);
	fclose(file);
	return found;
}

static const char *const fixture_paths[] = {"prod/a", "prod/b", "prod/c"};

#define FIXTURE_PATHS (sizeof fixture_paths / sizeof fixture_paths[0])

/* Three secrets of two versions: "prod/a 1", "prod/a 2" and so on. */
static inline int set_up_secrets(void **state)
{
	if (set_up_vault(state) != 0)
		return -1;
	for (unsigned number = 1; number <= 2; number++)
		for (size_t i = 0; i < FIXTURE_PATHS; i++) {
			char value[32];
			snprintf(value, sizeof value, "%s %u", fixture_paths[i], number);
			if (set(*state, fixture_paths[i], value) != MORTISE_OK)
				return -1;
		}
	return 0;
}

static inline void copy_file(const char *from, const char *to)
{
	char bytes[65536];
	FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
	size_t size;

	assert_true(in && out);
	while ((size = fread(bytes, 1, sizeof bytes, in)) > 0)
		assert_int_equal(fwrite(bytes, 1, size, out), size);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

#endif
