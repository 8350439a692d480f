/* SPDX-License-Identifier: ISC */
/* Somebody edits the store, closed or below a vault that is open: FAULTS row 16. */
#include "vault_fixture.h"

#define ROW(n) "(SELECT id FROM secret ORDER BY id LIMIT 1 OFFSET " #n ")"

static void assert_edit_is_noticed(struct fixture *fixture, const char *text)
{
	char copy[96];

	close_all(fixture);
	snprintf(copy, sizeof copy, "%s.copy", fixture->path);
	copy_file(fixture->path, copy);
	sql(fixture, text);
	if (reopen(fixture) != MORTISE_INTEGRITY)
		fail_msg("not noticed: %s", text);
	assert_null(fixture->vault);
	close_all(fixture);
	copy_file(copy, fixture->path);
	assert_int_equal(reopen(fixture), MORTISE_OK);
}

static void an_edit_that_changes_nothing_is_none(void **state)
{
	struct fixture *fixture = *state;

	edit(fixture, "UPDATE secret SET head=head; UPDATE item SET body=body; VACUUM");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_value(fixture, "prod/a", 0, "prod/a 2");
}

static void rows_swapped_deleted_or_added_are_noticed(void **state)
{
	static const char *const texts[] = {
		/* two rows change their heads, names, versions */
		"CREATE TEMP TABLE t AS SELECT id, head FROM secret; UPDATE secret SET head="
		"(SELECT head FROM t WHERE t.id=iif(secret.id=" ROW(0) "," ROW(1) "," ROW(
			0) "))"
			   "WHERE id IN (" ROW(0) "," ROW(1) ")",
		"CREATE TEMP TABLE t AS SELECT * FROM secret; DELETE FROM secret;"
		"INSERT INTO secret SELECT 1, a.id, b.path_hash, b.head FROM t a, t b WHERE "
		"(a.id, b.id) IN (SELECT x.id, y.id FROM t x, t y WHERE y.id=coalesce("
		"(SELECT min(id) FROM t z WHERE z.id>x.id), (SELECT min(id) FROM t)))",
		"UPDATE version SET secret=zeroblob(16) WHERE secret=" ROW(
			0) ";"
			   "UPDATE version SET secret=" ROW(0) " WHERE secret=" ROW(
				   1) ";"
				      "UPDATE version SET secret=" ROW(
					      1) " WHERE secret=zeroblob(16)",
		"UPDATE version SET number=3-number WHERE secret=" ROW(
			0) " AND number=3;"
			   "UPDATE version SET key=(SELECT key FROM version v WHERE "
			   "v.secret=version.secret "
			   "AND v.number=1) WHERE number=2",
		/* missing */
		"DELETE FROM secret WHERE id=" ROW(0),
		"DELETE FROM version WHERE secret=" ROW(2) "; DELETE FROM secret WHERE id=" ROW(2),
		"DELETE FROM version WHERE secret=" ROW(0) " AND number=1",
		"DELETE FROM version WHERE secret=" ROW(0) " AND number=2",
		"DELETE FROM version; DELETE FROM secret; DELETE FROM value",
		/* more */
		"INSERT INTO secret SELECT 1, randomblob(16), randomblob(32), head FROM secret "
		"LIMIT "
		"1",
		"INSERT INTO secret VALUES(1, x'', zeroblob(32), x'00')",
		"INSERT INTO version SELECT 1, secret, 3, 1, key, info FROM version WHERE number=2 "
		"LIMIT "
		"1",
		"INSERT INTO version SELECT 1, secret, -1, 1, key, info FROM version WHERE "
		"number=2 "
		"LIMIT 1",
		"INSERT INTO version SELECT 1, randomblob(16), 1, 1, key, info FROM version LIMIT "
		"1",
		"INSERT INTO version SELECT 1, x'', 1, 1, key, info FROM version LIMIT 1",
		/* other */
		"UPDATE version SET number=3 WHERE number=2 AND secret=" ROW(0),
		"UPDATE version SET value_epoch=2 WHERE number=2 AND secret=" ROW(0),
		"UPDATE version SET epoch=2 WHERE number=2 AND secret=" ROW(0),
		"UPDATE secret SET epoch=0 WHERE id=" ROW(0),
		"UPDATE version SET info=zeroblob(length(info)) WHERE number=2",
		"UPDATE version SET info=x'' WHERE number=1",
		"UPDATE version SET key=zeroblob(72) WHERE number=1",
		"UPDATE secret SET head=substr(head, 1, length(head)-1)",
		"UPDATE secret SET head=x'' WHERE id=" ROW(0),
		"UPDATE secret SET path_hash=randomblob(32) WHERE id=" ROW(0),
		"UPDATE secret SET id=randomblob(16) WHERE id=" ROW(0),
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_edit_is_noticed(*state, texts[i]);
}

static void items_edited_are_noticed(void **state)
{
	static const char *const texts[] = {
		"DELETE FROM item WHERE kind=1 AND number=1",
		"DELETE FROM item WHERE kind=2",
		"DELETE FROM item WHERE kind=3",
		"UPDATE item SET epoch=2 WHERE kind=2",
		"INSERT INTO item VALUES(1, 1, 3, x'00')",
		"INSERT INTO item VALUES(1, 1, 0, x'')",
		"INSERT INTO item SELECT 1, 2, 2, body FROM item WHERE kind=2",
		"INSERT INTO item SELECT 1, 3, 2, body FROM item WHERE kind=3",
		"UPDATE item SET body=x'00' WHERE kind=1 AND number=1",
		"UPDATE item SET body=x'' WHERE kind=2",
		"UPDATE item SET body=randomblob(length(body)) WHERE kind=3",
		"UPDATE item SET number=7 WHERE kind=1 AND number=2",
		"UPDATE item SET kind=2, number=2 WHERE kind=3",
		"UPDATE item SET body=(SELECT body FROM item i WHERE i.kind=1 AND "
		"i.number=3-item.number)"
		" WHERE kind=1",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_edit_is_noticed(*state, texts[i]);
}

static void an_edited_identity_is_noticed(void **state)
{
	static const char *const texts[] = {
		"UPDATE meta SET generation=generation+1",
		"UPDATE meta SET epoch=2",
		"UPDATE meta SET uuid=zeroblob(16)",
		"UPDATE meta SET tally=zeroblob(32)",
		"UPDATE meta SET format=3",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_edit_is_noticed(*state, texts[i]);
}

/* Writes, and then takes back one part of the write from a copy made before. */
static void a_row_rolled_back_is_noticed(void **state)
{
	static const char *const parts[] = {
		"UPDATE secret SET head=(SELECT head FROM old.secret s WHERE s.id=secret.id)",
		"DELETE FROM version WHERE number=3",
		("DELETE FROM version WHERE number=3;"
		 "UPDATE secret SET head=(SELECT head FROM old.secret s WHERE s.id=secret.id)"),
		"REPLACE INTO item SELECT * FROM old.item WHERE kind=3",
		"UPDATE meta SET tally=(SELECT tally FROM old.meta)",
	};
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *audit_state = NULL;
	char old[96], text[512];

	close_all(fixture);
	snprintf(old, sizeof old, "%s.old", fixture->path);
	copy_file(fixture->path, old);
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_int_equal(set(fixture, "prod/a", "prod/a 3"), MORTISE_OK);
	assert_int_equal(secret_random(32, &audit_state), MORTISE_OK);
	assert_int_equal(vault_set_audit_state(fixture->vault, audit_state), MORTISE_OK);
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		snprintf(text, sizeof text, "ATTACH '%s' AS old; %s", old, parts[i]);
		assert_edit_is_noticed(fixture, text);
	}
}

/*
 * What the schema forbids, a file edited byte by byte can hold: one id on several rows. Their
 * path hashes begin alike, so that a table of hashes visits each of them.
 */
static void an_id_on_several_rows_is_refused_without_a_crash(void **state)
{
	static const char with_key[] = "PRIMARY KEY(epoch, id), UNIQUE(epoch, path_hash)";
	static const char without[] = "PRIMARY KEY(epoch, id, path_hash), UNIQUE(epoch, path_hash)";
	static const char alter[] = "PRAGMA writable_schema=ON; UPDATE sqlite_schema SET "
				    "sql=replace(sql, '%s', '%s') WHERE name='secret'; "
				    "PRAGMA writable_schema=RESET;";
	static const char more[] = "INSERT INTO secret SELECT 1, id, CAST(substr(path_hash, 1, 8) "
				   "|| randomblob(24) AS "
				   "BLOB), head FROM secret;";
	char there[600], back[600], text[2000];

	snprintf(there, sizeof there, alter, with_key, without);
	snprintf(back, sizeof back, alter, without, with_key);
	snprintf(text, sizeof text, "%s %s %s %s", there, more, more, back);
	assert_edit_is_noticed(*state, text);
}

/* The ids of two rows. */
struct below {
	uint8_t id[ID_SIZE], other_id[ID_SIZE];
};

static void find_ids(struct fixture *fixture, struct below *below)
{
	struct vault_head head;
	const uint8_t *after = NULL;
	uint8_t id[ID_SIZE];

	while (vault_next(fixture->vault, after, id, &head) == MORTISE_OK) {
		if (strcmp(head.path, "prod/a") == 0)
			memcpy(below->id, id, ID_SIZE);
		if (strcmp(head.path, "prod/b") == 0)
			memcpy(below->other_id, id, ID_SIZE);
		after = id;
	}
}

static enum mortise_status verify(struct fixture *fixture, char out_complaint[320])
{
	size_t values = 0;

	for (unsigned bucket = 0; bucket < 256; bucket++)
		TRY(vault_verify(fixture->vault, bucket, &values, out_complaint, 320));
	return MORTISE_OK;
}

static void assert_complaint(struct fixture *fixture, const char *expected)
{
	char complaint[320];

	assert_int_equal(verify(fixture, complaint), MORTISE_INTEGRITY);
	if (!strstr(complaint, expected))
		fail_msg("'%s' is not about '%s'", complaint, expected);
}

/* Puts a value in place of version 2 of prod/a, with the row around it as it was. */
static void replace_value(
	struct fixture *fixture, const struct below *below, struct store_bytes value)
{
	char text[512], bytes[200] = "", id[2 * ID_SIZE + 1];

	assert_in_range(value.size, 0, 99);
	for (size_t i = 0; i < value.size; i++)
		snprintf(bytes + 2 * i, 3, "%02x", value.bytes[i]);
	for (size_t i = 0; i < ID_SIZE; i++)
		snprintf(id + 2 * i, 3, "%02x", below->id[i]);
	snprintf(text, sizeof text, "UPDATE value SET bytes=x'%s' WHERE secret=x'%s' AND number=2",
		bytes, id);
	edit(fixture, text);
	assert_int_equal(reopen(fixture), MORTISE_OK);
}

static void swapped_or_edited_values_are_never_given_out(void **state)
{
	struct fixture *fixture = *state;
	struct below below;
	uint8_t *right = NULL, *previous = NULL, *other = NULL;
	size_t size = 0, previous_size = 0, other_size = 0;

	find_ids(fixture, &below);
	assert_int_equal(store_value(fixture->store, below.id, 2, 1, &right, &size), MORTISE_OK);
	assert_int_equal(
		store_value(fixture->store, below.id, 1, 1, &previous, &previous_size), MORTISE_OK);
	assert_int_equal(
		store_value(fixture->store, below.other_id, 2, 1, &other, &other_size), MORTISE_OK);
	right[size - 1] ^= 1;
	const struct store_bytes wrong[] = {{right, size}, {previous, previous_size},
		{other, other_size}, {right, size - 1}, {right, 1}, {right, 0}};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		replace_value(fixture, &below, wrong[i]);
		assert_unreadable(fixture, "prod/a", 0, MORTISE_INTEGRITY);
		assert_unreadable(fixture, "prod/a", 2, MORTISE_INTEGRITY);
		assert_value(fixture, "prod/a", 1, "prod/a 1");
		assert_value(fixture, "prod/b", 0, "prod/b 2");
		assert_complaint(fixture, "prod/a: version 2");
	}
	right[size - 1] ^= 1;
	replace_value(fixture, &below, (struct store_bytes){right, size});
	assert_value(fixture, "prod/a", 0, "prod/a 2");
	free(right);
	free(previous);
	free(other);
}

static void a_value_changed_under_a_running_vault_is_never_given_out(void **state)
{
	struct fixture *fixture = *state;
	static const uint8_t nothing[STORE_KEY_SIZE];
	struct below below;
	uint8_t *other = NULL;
	size_t size = 0;

	find_ids(fixture, &below);
	assert_int_equal(
		store_value(fixture->store, below.other_id, 2, 1, &other, &size), MORTISE_OK);
	assert_int_equal(store_delete_version(fixture->store, below.id, 2), MORTISE_OK);
	assert_int_equal(store_delete_value(fixture->store, below.id, 2, 1), MORTISE_OK);
	assert_int_equal(put_version(fixture->store, below.id,
				 &(struct store_version){2, 1, nothing, bytes_of("x")},
				 (struct store_bytes){other, size}),
		MORTISE_OK);
	free(other);
	assert_unreadable(fixture, "prod/a", 2, MORTISE_INTEGRITY);
	assert_complaint(fixture, "prod/a");
	assert_value(fixture, "prod/b", 2, "prod/b 2");
}

/* A bad block that is mended must not stay in the cache. */
static void a_value_that_is_right_again_is_read_again(void **state)
{
	struct fixture *fixture = *state;
	struct below below;
	uint8_t *right = NULL;
	size_t size = 0;
	static const uint8_t key[STORE_KEY_SIZE];

	find_ids(fixture, &below);
	assert_int_equal(store_value(fixture->store, below.id, 1, 1, &right, &size), MORTISE_OK);
	for (unsigned pass = 0; pass < 2; pass++) {
		right[0] ^= 1;
		assert_int_equal(store_delete_version(fixture->store, below.id, 1), MORTISE_OK);
		assert_int_equal(store_delete_value(fixture->store, below.id, 1, 1), MORTISE_OK);
		assert_int_equal(put_version(fixture->store, below.id,
					 &(struct store_version){1, 1, key, bytes_of("x")},
					 (struct store_bytes){right, size}),
			MORTISE_OK);
		if (pass == 0)
			assert_unreadable(fixture, "prod/a", 1, MORTISE_INTEGRITY);
	}
	assert_value(fixture, "prod/a", 1, "prod/a 1");
	free(right);
}

static void a_missing_value_is_noticed(void **state)
{
	struct fixture *fixture = *state;

	edit(fixture, "DELETE FROM value WHERE number=1");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_unreadable(fixture, "prod/b", 1, MORTISE_INTEGRITY);
	assert_value(fixture, "prod/b", 2, "prod/b 2");
	assert_complaint(fixture, "version 1");
}

static void a_value_too_many_is_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;

	edit(fixture,
		"INSERT INTO value SELECT secret, 9, 1, bytes FROM value WHERE number=1 LIMIT 1");
	assert_int_equal(reopen(fixture), MORTISE_OK);
	assert_complaint(fixture, "never written");
	assert_value(fixture, "prod/b", 2, "prod/b 2");
}

static void rows_changed_under_a_running_vault_are_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;
	struct below below;
	uint8_t hash[STORE_HASH_SIZE] = {1};

	find_ids(fixture, &below);
	assert_int_equal(
		store_put_secret(fixture->store, below.id, hash, bytes_of("x")), MORTISE_OK);
	assert_complaint(fixture, "prod/a");
	assert_value(fixture, "prod/a", 0, "prod/a 2");
}

static void a_row_added_under_a_running_vault_is_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;
	uint8_t id[ID_SIZE], hash[STORE_HASH_SIZE] = {1};

	memset(id, 0xff, sizeof id);
	assert_int_equal(store_put_secret(fixture->store, id, hash, bytes_of("x")), MORTISE_OK);
	char complaint[320];
	assert_int_equal(verify(fixture, complaint), MORTISE_INTEGRITY);
}

static void items_changed_under_a_running_vault_are_noticed(void **state)
{
	struct fixture *fixture = *state;
	struct secret *audit_state = NULL;
	uint8_t *policy = NULL;
	uint64_t version;
	size_t size;

	assert_int_equal(
		store_put_item(fixture->store, STORE_POLICY, 1, bytes_of("x")), MORTISE_OK);
	assert_int_equal(
		vault_policy(fixture->vault, 0, &policy, &size, &version), MORTISE_INTEGRITY);
	assert_complaint(fixture, "policy");
	assert_int_equal(store_delete_item(fixture->store, STORE_POLICY, 1), MORTISE_OK);
	assert_int_equal(
		vault_policy(fixture->vault, 0, &policy, &size, &version), MORTISE_INTEGRITY);
	assert_complaint(fixture, "policy");
	assert_int_equal(store_delete_item(fixture->store, STORE_AUDIT, 1), MORTISE_OK);
	assert_int_equal(vault_audit_state(fixture->vault, &audit_state), MORTISE_INTEGRITY);
	assert_null(policy);
	assert_null(audit_state);
}

static void an_older_audit_state_under_a_running_vault_is_refused(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP(secret_drop) struct secret *newer = NULL;
	struct secret *read = NULL;
	uint8_t *older = NULL;
	size_t size = 0;

	assert_int_equal(store_item(fixture->store, STORE_AUDIT, 1, &older, &size), MORTISE_OK);
	assert_int_equal(secret_random(64, &newer), MORTISE_OK);
	assert_int_equal(vault_set_audit_state(fixture->vault, newer), MORTISE_OK);
	assert_int_equal(
		store_put_item(fixture->store, STORE_AUDIT, 1, (struct store_bytes){older, size}),
		MORTISE_OK);
	free(older);
	assert_int_equal(vault_audit_state(fixture->vault, &read), MORTISE_INTEGRITY);
	assert_null(read);
}

static void a_slot_deleted_under_a_running_vault_is_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(store_delete_item(fixture->store, STORE_SLOT, 2), MORTISE_OK);
	assert_complaint(fixture, "slot");
}

static void an_identity_changed_under_a_running_vault_is_noticed_by_verify(void **state)
{
	struct fixture *fixture = *state;
	struct store_meta meta, edited;

	assert_int_equal(store_meta(fixture->store, &meta), MORTISE_OK);
	for (unsigned i = 0; i < 3; i++) {
		edited = meta;
		edited.generation += i == 0;
		edited.epoch += i == 1;
		edited.tally[0] ^= i == 2;
		assert_int_equal(store_put_meta(fixture->store, &edited), MORTISE_OK);
		assert_complaint(fixture, "tally");
	}
	assert_int_equal(store_put_meta(fixture->store, &meta), MORTISE_OK);
	char complaint[320];
	assert_int_equal(verify(fixture, complaint), MORTISE_OK);
}

int main(void)
{
#define IN_VAULT(test) cmocka_unit_test_setup_teardown(test, set_up_secrets, tear_down)
	const struct CMUnitTest tests[] = {
		IN_VAULT(an_edit_that_changes_nothing_is_none),
		IN_VAULT(rows_swapped_deleted_or_added_are_noticed),
		IN_VAULT(items_edited_are_noticed),
		IN_VAULT(an_edited_identity_is_noticed),
		IN_VAULT(a_row_rolled_back_is_noticed),
		IN_VAULT(an_id_on_several_rows_is_refused_without_a_crash),
		IN_VAULT(swapped_or_edited_values_are_never_given_out),
		IN_VAULT(a_value_changed_under_a_running_vault_is_never_given_out),
		IN_VAULT(a_value_that_is_right_again_is_read_again),
		IN_VAULT(a_missing_value_is_noticed),
		IN_VAULT(a_value_too_many_is_noticed_by_verify),
		IN_VAULT(rows_changed_under_a_running_vault_are_noticed_by_verify),
		IN_VAULT(a_row_added_under_a_running_vault_is_noticed_by_verify),
		IN_VAULT(items_changed_under_a_running_vault_are_noticed),
		IN_VAULT(an_older_audit_state_under_a_running_vault_is_refused),
		IN_VAULT(a_slot_deleted_under_a_running_vault_is_noticed_by_verify),
		IN_VAULT(an_identity_changed_under_a_running_vault_is_noticed_by_verify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
