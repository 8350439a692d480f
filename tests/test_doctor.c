/* SPDX-License-Identifier: ISC */
/* doctor: what its checks make of an agent's facts that no healthy host tells. */
#include <string.h>

#include "doctor_agent.h"
#include "doctor_host.h"
#include "mortise_test.h"

static struct cli cli;
static struct doctor doctor;

static int set_up(void **state)
{
	(void)state;
	doctor = (struct doctor){
		.cli = &cli,
		.check = "tested",
		.is_there = true,
		.is_unsealed = true,
		.facts = json_object(),
		.findings = json_array(),
	};
	return doctor.facts != NULL && doctor.findings != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	json_decref(doctor.facts);
	json_decref(doctor.findings);
	return 0;
}

static void text(const char *name, const char *value)
{
	assert_int_equal(json_object_set_new(doctor.facts, name, json_string(value)), 0);
}

static void number(const char *name, json_int_t value)
{
	assert_int_equal(json_object_set_new(doctor.facts, name, json_integer(value)), 0);
}

/* The checks' findings anew. */
static void look(doctor_check *check)
{
	json_array_clear(doctor.findings);
	check(&doctor);
}

static void assert_finding(size_t at, const char *severity, const char *part, const char *remedy)
{
	const json_t *finding = json_array_get(doctor.findings, at);
	const char *found = json_string_value(json_object_get(finding, "remedy"));

	assert_non_null(finding);
	assert_string_equal(json_string_value(json_object_get(finding, "severity")), severity);
	assert_non_null(strstr(json_string_value(json_object_get(finding, "text")), part));
	if (remedy == NULL)
		assert_null(found);
	else
		assert_string_equal(found, remedy);
}

static void what_the_agent_said_is_taken_apart_into_text_and_remedy(void **state)
{
	(void)state;
	doctor_repeat(&doctor, DOCTOR_WRONG, "slot 1: ", "it hung; run: mortise unseal; or wait");
	assert_finding(0, "wrong", "slot 1: it hung", "mortise unseal; or wait");
	doctor_repeat(&doctor, DOCTOR_NOTE, "", "it hung");
	assert_finding(1, "note", "it hung", NULL);
}

static void a_store_without_an_anchor_is_noted_and_an_agent_that_tells_none_is_not(void **state)
{
	(void)state;
	look(doctor_anchor);
	assert_int_equal(json_array_size(doctor.findings), 0);
	text("anchor", "none: an old copy of the store would not be noticed");
	look(doctor_anchor);
	assert_finding(0, "note", "none: an old copy", NULL);
}

static void an_anchor_that_fails_or_is_far_behind_is_found(void **state)
{
	(void)state;
	text("anchor", "ok");
	number("anchor_counter", 7);
	number("anchor_lag_s", 60);
	number("anchor_budget", 3);
	look(doctor_anchor);
	assert_finding(0, "ok", "stands at 7", NULL);
	number("anchor_budget", 0);
	look(doctor_anchor);
	assert_finding(0, "note", "increments are spent", NULL);
	number("anchor_lag_s", 3600);
	look(doctor_anchor);
	assert_finding(1, "warning", "the last 3600 s", "mortise status");
	text("anchor", "no TPM answers; check its socket");
	look(doctor_anchor);
	assert_finding(0, "wrong", "no TPM answers", "check its socket");
	assert_int_equal(json_array_size(doctor.findings), 1);
}

static void a_log_that_fails_is_wrong_and_one_on_its_reserve_a_warning(void **state)
{
	(void)state;
	text("audit", "failing: nothing is released");
	look(doctor_audit);
	assert_finding(0, "wrong", "nothing is released", "make room on the audit log's disk");
	text("audit", "disk full: on its reserve");
	look(doctor_audit);
	assert_finding(0, "warning", "reserve", "make room on the audit log's disk");
	text("audit", "ok");
	number("audit_lines_unsigned", 2001);
	look(doctor_audit);
	assert_finding(0, "warning", "2001 lines", "mortise audit verify");
	number("audit_lines_unsigned", 2000);
	look(doctor_audit);
	assert_finding(0, "ok", "written", NULL);
	text("audit", "not safely on the disk: it is written again");
	look(doctor_audit);
	assert_finding(0, "warning", "not safely on the disk",
		"see what the kernel says of that disk: dmesg");
	text("audit", "MOVED: away");
	look(doctor_audit);
	assert_finding(
		0, "wrong", "MOVED: away", "put the file back, or: systemctl restart mortise");
	text("audit", "DAMAGED: the log lacks its last signed line");
	look(doctor_audit);
	assert_finding(0, "wrong", "DAMAGED: the log lacks its last signed line",
		"mortise audit verify; when it is understood: mortise audit acknowledge "
		"--note=WHY");
}

static void memory_that_may_be_swapped_is_wrong(void **state)
{
	(void)state;
	text("memory", "NOT LOCKED (insecure-memory = yes): keys and values may be swapped out");
	look(doctor_memory);
	assert_finding(0, "wrong", "swapped",
		"raise LimitMEMLOCK (ulimit -l), and take insecure-memory out");
	text("memory", "mlock");
	number("memlock_bytes", 8 * 1024 * 1024 - 1);
	look(doctor_memory);
	assert_finding(0, "warning", "8191 KiB", "raise LimitMEMLOCK (ulimit -l) to 16 MiB");
	number("memlock_bytes", 8 * 1024 * 1024);
	look(doctor_memory);
	assert_finding(0, "ok", "mlock", NULL);
}

static void what_the_kernel_lacks_is_told(void **state)
{
	(void)state;
	text("sandbox", "none");
	text("evidence", "hello");
	look(doctor_kernel);
	assert_finding(0, "warning", "system call", "use a kernel with seccomp");
	assert_finding(1, "note", "Landlock", "add landlock to the kernel's lsm=");
	assert_finding(2, "note", "SO_PEERPIDFD", NULL);
	text("sandbox", "seccomp, landlock");
	text("evidence", "pidfd");
	look(doctor_kernel);
	assert_int_equal(json_array_size(doctor.findings), 1);
	assert_finding(0, "ok", "seccomp, landlock", NULL);
}

static void an_agent_of_another_version_and_a_rekey_are_noted(void **state)
{
	(void)state;
	text("state", "unsealed");
	text("version", "0.0.9");
	text("rekey", "3 of 7 secrets");
	look(doctor_state);
	assert_finding(1, "note", "mortise 0.0.9", "restart mortised");
	look(doctor_rekey);
	assert_finding(0, "note", "3 of 7 secrets", "mortise status");
}

static void a_sealed_agents_reason_is_what_is_wrong(void **state)
{
	(void)state;
	doctor.is_unsealed = false;
	text("state", "sealed");
	look(doctor_state);
	assert_finding(0, "wrong", "it is sealed", "mortise unseal");
	text("reason", "slot 1: the TPM was cleared; run: mortise unseal --recovery");
	look(doctor_state);
	assert_finding(0, "wrong", "it is sealed: slot 1: the TPM was cleared",
		"mortise unseal --recovery");
}

static void an_open_agent_that_cannot_write_is_wrong(void **state)
{
	(void)state;
	text("state", "unsealed");
	text("reason", "a write failed, but the keys stay: disk I/O error; look at its disk");
	look(doctor_state);
	assert_finding(0, "wrong", "it is unsealed, but a write failed", "look at its disk");
}

static void disks_are_judged_by_what_is_free_of_them(void **state)
{
	static const struct {
		json_int_t free_mib, disk_mib;
		const char *severity;
	} cases[] = {
		{0, 8, "wrong"},       /* less than any write takes */
		{9, 1024, "wrong"},    /* under 1 % */
		{40, 1024, "warning"}, /* under 5 %, and little */
		{100, 4096, "ok"},     /* under 5 %, and enough */
		{10, 20, "ok"},
	};

	(void)state;
	text("store_directory", "/s");
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		number("store_directory_free_bytes", cases[i].free_mib << 20);
		number("store_directory_disk_bytes", cases[i].disk_mib << 20);
		look(doctor_disks);
		assert_int_equal(json_array_size(doctor.findings), 1);
		assert_finding(0, cases[i].severity, "/s",
			strcmp(cases[i].severity, "ok") == 0 ? NULL : "make room there");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_the_agent_said_is_taken_apart_into_text_and_remedy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_store_without_an_anchor_is_noted_and_an_agent_that_tells_none_is_not,
			set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_anchor_that_fails_or_is_far_behind_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_log_that_fails_is_wrong_and_one_on_its_reserve_a_warning, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			memory_that_may_be_swapped_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_the_kernel_lacks_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_agent_of_another_version_and_a_rekey_are_noted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_sealed_agents_reason_is_what_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_open_agent_that_cannot_write_is_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			disks_are_judged_by_what_is_free_of_them, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
