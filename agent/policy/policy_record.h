/* SPDX-License-Identifier: ISC */
/*
 * policy_record: a policy as the store keeps it: the files as applied, and what id each of
 * their names meant then. Knows nothing of what rules say.
 */
#ifndef MORTISE_POLICY_RECORD_H
#define MORTISE_POLICY_RECORD_H

#include "policy.h"
#include "wire.h"

#define POLICY_FILES_MAX     64
#define POLICY_FILE_NAME_MAX 128

struct policy_pinned {
	enum policy_name_kind kind;
	const char *name;
	uint32_t id;
};

/* What an apply knows. */
struct policy_source {
	const struct policy_file *files;
	size_t file_count;
	const struct policy *policy; /* its names, pinned by ids; NULL: no names */
	const uint32_t *ids;
	uint8_t token[WIRE_TOKEN_SIZE];
	uint32_t uid; /* who applied it */
	uint64_t time_us;
};

/* The size a record of this source will not exceed. */
size_t policy_record_room(const struct policy_source *source);

/* MORTISE_INVALID if it does not fit. */
enum mortise_status policy_record_write(const struct policy_source *source, uint8_t *buffer,
	size_t capacity, size_t *out_size) MUST_USE;

/*
 * Reads the record's files and pins and compiles them. MORTISE_INTEGRITY for anything that
 * policy_record_write() did not write.
 */
enum mortise_status policy_record_compile(
	const uint8_t *record, size_t size, struct policy **out_policy) MUST_USE;

/* Was it applied under this token? */
bool policy_record_has_token(
	const uint8_t *record, size_t size, const uint8_t token[WIRE_TOKEN_SIZE]);

/* Files of a policy, whose texts belong to somebody else. Not to be copied: it points into itself.
 */
struct policy_files {
	struct policy_file files[POLICY_FILES_MAX];
	char names[POLICY_FILES_MAX][POLICY_FILE_NAME_MAX];
	size_t count;
};

/* The files as applied; their texts stay in the record. MORTISE_INTEGRITY. */
enum mortise_status policy_record_files(
	const uint8_t *record, size_t size, struct policy_files *out_files) MUST_USE;

/* The files of a policy on its way into force: uploaded, or those of a version that is kept. */
struct policy_staging {
	struct policy_files in;
	char *texts[POLICY_FILES_MAX]; /* uploaded; NULL where the text is in the record */
	uint8_t *record;               /* NULL: uploaded */
	size_t total;
};

/* NULL is allowed. */
void policy_staging_free(struct policy_staging *staging);

/* The files joined, each behind a line "; file: NAME"; malloc'ed. */
enum mortise_status policy_record_text(
	const uint8_t *record, size_t size, char **out_text, size_t *out_size) MUST_USE;

#endif
