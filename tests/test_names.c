/* SPDX-License-Identifier: ISC */
#include <endian.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mortise_test.h"
#include "names.h"
#include "processes.h"

#define UNKNOWN "no-such-name-here"

/*
 * The name service that the tests see, in place of libc's.
 */
static int broken_with;
static size_t needed_size; /* a buffer below this gets ERANGE */

int getpwnam_r(const char *restrict name, struct passwd *restrict entry, char *restrict buffer,
	size_t size, struct passwd **restrict out_found)
{
	static char login[NAMES_LOGIN_MAX + 64];

	(void)buffer;
	*out_found = NULL;
	if (size < needed_size)
		return ERANGE;
	if (broken_with != 0)
		return broken_with;
	if (strcmp(name, UNKNOWN) == 0)
		return 0;
	memset(login, 'x', sizeof login - 1);
	*entry = (struct passwd){.pw_name = login, .pw_uid = 77, .pw_gid = 88};
	if (strcmp(name, "long") != 0) {
		size_t length = strlen(name);

		memcpy(login, name, length < sizeof login ? length + 1 : 0);
	}
	*out_found = entry;
	return 0;
}

int getpwuid_r(uid_t uid, struct passwd *restrict entry, char *restrict buffer, size_t size,
	struct passwd **restrict out_found)
{
	static char login[] = "backup";

	(void)buffer;
	(void)size;
	*out_found = NULL;
	if (broken_with != 0)
		return broken_with;
	if (uid != 1234)
		return 0;
	*entry = (struct passwd){.pw_name = login, .pw_uid = uid, .pw_gid = 88};
	*out_found = entry;
	return 0;
}

int getgrnam_r(const char *restrict name, struct group *restrict entry, char *restrict buffer,
	size_t size, struct group **restrict out_found)
{
	(void)buffer;
	*out_found = NULL;
	if (size < needed_size)
		return ERANGE;
	if (broken_with != 0)
		return broken_with;
	if (strcmp(name, UNKNOWN) == 0)
		return 0;
	*entry = (struct group){.gr_gid = 99};
	*out_found = entry;
	return 0;
}

int getgrouplist(const char *user, gid_t group, gid_t *groups, int *count)
{
	const int have = strcmp(user, "many") == 0 ? NAMES_GROUPS_MAX + 1 : 2;
	const int room = *count;

	*count = have;
	if (room < have)
		return -1;
	groups[0] = group;
	groups[1] = 99;
	return have;
}

static int mend(void **state)
{
	(void)state;
	broken_with = 0;
	needed_size = 0;
	return 0;
}

static void a_known_user_has_its_ids(void **state)
{
	struct names_user user;

	(void)state;
	assert_int_equal(names_find_user("backup", &user), MORTISE_OK);
	assert_int_equal(user.uid, 77);
	assert_int_equal(user.gid, 88);
	assert_string_equal(user.login, "backup");
}

static void an_unknown_user_is_not_found(void **state)
{
	struct names_user user = {.uid = 5};

	(void)state;
	assert_int_equal(names_find_user(UNKNOWN, &user), MORTISE_NOT_FOUND);
	assert_int_equal(user.uid, 5);
}

static void an_empty_name_is_not_looked_up_as_an_id(void **state)
{
	gid_t gid = 5;

	(void)state;
	broken_with = ENOENT;
	assert_int_equal(names_find_group("", &gid), MORTISE_NOT_FOUND);
	assert_int_equal(gid, 5);
}

static void errors_that_mean_not_found_are_not_failures(void **state)
{
	struct names_user user;
	gid_t gid;

	(void)state;
	broken_with = ENOENT;
	assert_int_equal(names_find_user("backup", &user), MORTISE_NOT_FOUND);
	broken_with = ESRCH;
	assert_int_equal(names_find_group("wheel", &gid), MORTISE_NOT_FOUND);
}

static void a_service_that_fails_is_not_an_unknown_name(void **state)
{
	static const int errors[] = {EIO, EAGAIN, EMFILE, ECONNREFUSED, ETIMEDOUT, EINTR};
	struct names_user user;
	gid_t gid;

	(void)state;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		broken_with = errors[i];
		assert_int_equal(names_find_user("backup", &user), MORTISE_IO);
		assert_int_equal(names_find_group("wheel", &gid), MORTISE_IO);
	}
}

static void a_large_entry_gets_a_larger_buffer(void **state)
{
	struct names_user user;
	gid_t gid;

	(void)state;
	needed_size = 100000;
	assert_int_equal(names_find_user("backup", &user), MORTISE_OK);
	assert_int_equal(names_find_group("wheel", &gid), MORTISE_OK);
}

static void an_entry_without_end_is_a_failure(void **state)
{
	struct names_user user;

	(void)state;
	needed_size = SIZE_MAX;
	assert_int_equal(names_find_user("backup", &user), MORTISE_IO);
}

static void a_login_too_long_is_a_failure(void **state)
{
	struct names_user user;

	(void)state;
	assert_int_equal(names_find_user("long", &user), MORTISE_IO);
}

static void digits_are_an_id(void **state)
{
	struct names_user user;
	gid_t gid;

	(void)state;
	assert_int_equal(names_find_user("1234", &user), MORTISE_OK);
	assert_int_equal(user.uid, 1234);
	assert_string_equal(user.login, "backup");
	assert_int_equal(names_find_group("4294967294", &gid), MORTISE_OK);
	assert_int_equal(gid, 4294967294);
}

static void digits_without_an_entry_are_an_id_too(void **state)
{
	struct names_user user;
	gid_t groups[4];
	size_t count = 7;

	(void)state;
	assert_int_equal(names_find_user("4711", &user), MORTISE_OK);
	assert_int_equal(user.uid, 4711);
	assert_string_equal(user.login, "");
	assert_int_equal(names_groups(&user, groups, 4, &count), MORTISE_OK);
	assert_int_equal(count, 0);
}

static void digits_whose_groups_cannot_be_asked_are_a_failure(void **state)
{
	struct names_user user;

	(void)state;
	broken_with = EIO;
	assert_int_equal(names_find_user("4711", &user), MORTISE_IO);
}

static void digits_that_are_no_id_are_not_found(void **state)
{
	static const char *const names[] = {
		"4294967295", "4294967296", "18446744073709551616", "99999999999999999999999999"};
	struct names_user user;
	gid_t gid;

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		assert_int_equal(names_find_user(names[i], &user), MORTISE_NOT_FOUND);
		assert_int_equal(names_find_group(names[i], &gid), MORTISE_NOT_FOUND);
	}
}

static void more_groups_than_there_is_room_for_are_a_failure(void **state)
{
	struct names_user user;
	gid_t groups[1];
	size_t count = 7;

	(void)state;
	assert_int_equal(names_find_user("backup", &user), MORTISE_OK);
	assert_int_equal(names_groups(&user, groups, 1, &count), MORTISE_IO);
	assert_int_equal(count, 7);
}

struct question {
	uint8_t frame[WIRE_FRAME_MAX];
	struct wire_message message;
};

static void put_names(struct wire_writer *writer, unsigned tag, const char *const *names)
{
	size_t mark;

	if (names == NULL)
		return;
	mark = wire_list_begin(writer, tag);
	for (; *names != NULL; names++)
		wire_item_put(writer, *names, strlen(*names));
	wire_list_end(writer, mark);
}

static struct question *ask(const char *const *users, const char *const *groups)
{
	struct question *question = calloc(1, sizeof *question);
	struct wire_writer writer;

	assert_non_null(question);
	wire_begin(&writer, question->frame, sizeof question->frame, PROCESS_RESOLVE, 42);
	put_names(&writer, PROCESS_TAG_USERS, users);
	put_names(&writer, PROCESS_TAG_GROUPS, groups);
	assert_int_equal(
		wire_parse(question->frame, wire_finish(&writer), &question->message), MORTISE_OK);
	return question;
}

static void next_item(struct wire_list *list, struct wire_message *out_item)
{
	struct wire_field field;

	assert_true(wire_list_next(list, &field));
	assert_int_equal(wire_parse_fields(field.bytes, field.size, out_item), MORTISE_OK);
}

static void assert_item(struct wire_list *list, const char *name, enum mortise_status expected,
	uint64_t expected_id)
{
	struct wire_message item;
	uint64_t status, id = UINT64_MAX;
	char text[WIRE_TEXT_MAX];

	next_item(list, &item);
	assert_int_equal(wire_number(&item, PROCESS_TAG_STATUS, &status), MORTISE_OK);
	assert_int_equal(status, expected);
	assert_int_equal(wire_text(&item, PROCESS_TAG_NAME, text, sizeof text), MORTISE_OK);
	assert_string_equal(text, name);
	assert_int_equal(wire_has(&item, PROCESS_TAG_NUMBER), expected == MORTISE_OK);
	if (expected == MORTISE_OK)
		assert_int_equal(wire_number(&item, PROCESS_TAG_NUMBER, &id), MORTISE_OK);
	if (expected == MORTISE_OK)
		assert_int_equal(id, expected_id);
}

static void an_answer_has_every_name_in_order_users_first(void **state)
{
	static const char *const users[] = {"backup", UNKNOWN, "4711", NULL};
	static const char *const groups[] = {"wheel", "5", NULL};
	struct question *question = ask(users, groups);
	uint8_t *frame = malloc(WIRE_FRAME_MAX);
	struct wire_message answer;
	struct wire_list list;
	struct wire_field rest;
	size_t size = 0;

	(void)state;
	assert_int_equal(names_check(&question->message), MORTISE_OK);
	assert_int_equal(
		names_answer(&question->message, frame, WIRE_FRAME_MAX, &size), MORTISE_OK);
	assert_int_equal(wire_parse(frame, size, &answer), MORTISE_OK);
	assert_int_equal(answer.code, MORTISE_OK);
	assert_int_equal(answer.request_id, 42);
	list = wire_list_of(&answer, PROCESS_TAG_ITEMS);
	assert_item(&list, "backup", MORTISE_OK, 77);
	assert_item(&list, UNKNOWN, MORTISE_NOT_FOUND, 0);
	assert_item(&list, "4711", MORTISE_OK, 4711);
	assert_item(&list, "wheel", MORTISE_OK, 99);
	assert_item(&list, "5", MORTISE_OK, 5);
	assert_false(wire_list_next(&list, &rest));
	assert_true(wire_list_is_whole(&list));
	free(frame);
	free(question);
}

static void a_user_has_all_its_groups(void **state)
{
	static const char *const users[] = {"backup", NULL};
	const uint32_t expected[] = {htole32(88), htole32(99)};
	struct question *question = ask(users, NULL);
	uint8_t frame[4096];
	struct wire_message answer, item;
	struct wire_list list;
	size_t size = 0;

	(void)state;
	assert_int_equal(names_answer(&question->message, frame, sizeof frame, &size), MORTISE_OK);
	assert_int_equal(wire_parse(frame, size, &answer), MORTISE_OK);
	list = wire_list_of(&answer, PROCESS_TAG_ITEMS);
	next_item(&list, &item);
	assert_int_equal(wire_field_of(&item, PROCESS_TAG_IDS)->size, sizeof expected);
	assert_memory_equal(
		wire_field_of(&item, PROCESS_TAG_IDS)->bytes, expected, sizeof expected);
	free(question);
}

static void one_user_in_too_many_groups_leaves_the_others_answered(void **state)
{
	static const char *const users[] = {"many", "backup", NULL};
	struct question *question = ask(users, NULL);
	uint8_t frame[4096];
	struct wire_message answer;
	struct wire_list list;
	size_t size = 0;

	(void)state;
	assert_int_equal(names_answer(&question->message, frame, sizeof frame, &size), MORTISE_OK);
	assert_int_equal(wire_parse(frame, size, &answer), MORTISE_OK);
	list = wire_list_of(&answer, PROCESS_TAG_ITEMS);
	assert_item(&list, "many", MORTISE_IO, 0);
	assert_item(&list, "backup", MORTISE_OK, 77);
	free(question);
}

static void a_frame_without_room_is_a_failure(void **state)
{
	static const char *const users[] = {"backup", NULL};
	struct question *question = ask(users, NULL);
	uint8_t frame[64];
	size_t size = 7;

	(void)state;
	assert_int_equal(names_answer(&question->message, frame, sizeof frame, &size), MORTISE_IO);
	assert_int_equal(size, 7);
	free(question);
}

static struct question *ask_for(size_t count)
{
	const char *users[NAMES_PER_REQUEST + 2] = {NULL};

	for (size_t i = 0; i < count; i++)
		users[i] = "a";
	return ask(users, NULL);
}

static void sixty_four_names_are_accepted(void **state)
{
	struct question *question = ask_for(NAMES_PER_REQUEST);

	(void)state;
	assert_int_equal(names_check(&question->message), MORTISE_OK);
	free(question);
}

static void more_names_are_refused(void **state)
{
	struct question *question = ask_for(NAMES_PER_REQUEST + 1);

	(void)state;
	assert_int_equal(names_check(&question->message), MORTISE_REJECTED);
	free(question);
}

static void a_torn_list_is_refused(void **state)
{
	static const char torn[] = {9, 0, 0, 0, 'a'};
	uint8_t frame[64];
	struct wire_writer writer;
	struct wire_message message;

	(void)state;
	wire_begin(&writer, frame, sizeof frame, PROCESS_RESOLVE, 1);
	wire_put(&writer, PROCESS_TAG_GROUPS, torn, sizeof torn);
	assert_int_equal(wire_parse(frame, wire_finish(&writer), &message), MORTISE_OK);
	assert_int_equal(names_check(&message), MORTISE_INVALID);
}

static void other_fields_are_refused(void **state)
{
	uint8_t frame[64];
	struct wire_writer writer;
	struct wire_message message;

	(void)state;
	wire_begin(&writer, frame, sizeof frame, PROCESS_RESOLVE, 1);
	wire_put_number(&writer, PROCESS_TAG_NUMBER, 1);
	assert_int_equal(wire_parse(frame, wire_finish(&writer), &message), MORTISE_OK);
	assert_int_equal(names_check(&message), MORTISE_INVALID);
}

static void a_name_with_a_nul_is_nobodys(void **state)
{
	uint8_t frame[64], out[256];
	struct wire_writer writer;
	struct wire_message message, answer, item;
	struct wire_list list;
	uint64_t status;
	size_t mark, size = 0;

	(void)state;
	wire_begin(&writer, frame, sizeof frame, PROCESS_RESOLVE, 1);
	mark = wire_list_begin(&writer, PROCESS_TAG_USERS);
	wire_item_put(&writer, "root\0x", 6);
	wire_list_end(&writer, mark);
	assert_int_equal(wire_parse(frame, wire_finish(&writer), &message), MORTISE_OK);
	assert_int_equal(names_answer(&message, out, sizeof out, &size), MORTISE_OK);
	assert_int_equal(wire_parse(out, size, &answer), MORTISE_OK);
	list = wire_list_of(&answer, PROCESS_TAG_ITEMS);
	next_item(&list, &item);
	assert_int_equal(wire_number(&item, PROCESS_TAG_STATUS, &status), MORTISE_OK);
	assert_int_equal(status, MORTISE_NOT_FOUND);
}

static void a_child_answers_by_itself(void **state)
{
	static const char *const users[] = {"backup", NULL};
	const struct identity same = {.differs = false};
	struct question *question = ask(users, NULL);
	uint8_t frame[4096];
	struct wire_message answer;
	int pair[2], status = -1;
	ssize_t size;
	pid_t child = -1;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(names_start(&question->message, pair[0], &same, &child), MORTISE_OK);
	size = recv(pair[1], frame, sizeof frame, 0);
	assert_true(size > 0);
	assert_int_equal(wire_parse(frame, (size_t)size, &answer), MORTISE_OK);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(pair[0]);
	close(pair[1]);
	free(question);
}

static void a_child_that_nobody_hears_says_so(void **state)
{
	static const char *const users[] = {"backup", NULL};
	const struct identity same = {.differs = false};
	struct question *question = ask(users, NULL);
	int pair[2], status = -1;
	pid_t child = -1;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	close(pair[1]);
	assert_int_equal(names_start(&question->message, pair[0], &same, &child), MORTISE_OK);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(pair[0]);
	free(question);
}

#define TEST(name) cmocka_unit_test_setup(name, mend)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_known_user_has_its_ids),
		TEST(an_unknown_user_is_not_found),
		TEST(an_empty_name_is_not_looked_up_as_an_id),
		TEST(errors_that_mean_not_found_are_not_failures),
		TEST(a_service_that_fails_is_not_an_unknown_name),
		TEST(a_large_entry_gets_a_larger_buffer),
		TEST(an_entry_without_end_is_a_failure),
		TEST(a_login_too_long_is_a_failure),
		TEST(digits_are_an_id),
		TEST(digits_without_an_entry_are_an_id_too),
		TEST(digits_whose_groups_cannot_be_asked_are_a_failure),
		TEST(digits_that_are_no_id_are_not_found),
		TEST(more_groups_than_there_is_room_for_are_a_failure),
		TEST(an_answer_has_every_name_in_order_users_first),
		TEST(a_user_has_all_its_groups),
		TEST(one_user_in_too_many_groups_leaves_the_others_answered),
		TEST(a_frame_without_room_is_a_failure),
		TEST(sixty_four_names_are_accepted),
		TEST(more_names_are_refused),
		TEST(a_torn_list_is_refused),
		TEST(other_fields_are_refused),
		TEST(a_name_with_a_nul_is_nobodys),
		TEST(a_child_answers_by_itself),
		TEST(a_child_that_nobody_hears_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
