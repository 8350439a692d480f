/* SPDX-License-Identifier: ISC */
/*
 * cgroup: the systemd unit that a process is in, from the text of its /proc/PID/cgroup.
 * Only the hierarchy that systemd itself keeps counts: the unified one (v2), v1's name=systemd,
 * or, on a hybrid, both. Pure; how a path becomes names is subject_unit()'s affair.
 */
#ifndef MORTISE_CGROUP_H
#define MORTISE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "status.h"

#define CGROUP_TEXT_MAX  16384 /* of /proc/PID/cgroup: a dozen hierarchies */
#define CGROUP_NAMES_MAX 4096

struct cgroup_unit {
	char names[CGROUP_NAMES_MAX]; /* as subject_unit() gives them */
	bool is_unified;              /* the v2 path says so: the cgroup's id stands for it */
};

/*
 * text: all of the file (cgroups(7)), no NUL needed. A hierarchy in which the process sits at
 * the root is one that no systemd keeps; where two are kept, they must name the same units.
 * MORTISE_REJECTED if there is no unit or the text is not what the kernel writes.
 */
enum mortise_status cgroup_read(const char *text, size_t size, struct cgroup_unit *out_unit)
	MUST_USE;

#endif
