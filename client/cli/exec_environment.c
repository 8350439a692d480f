/* SPDX-License-Identifier: ISC */
#include "exec_environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory_file.h"

/* What is left of an environment that is cleaned, besides LC_*. */
static const char *const kept[] = {
	"HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER", NULL};

static bool is_kept(const char *variable)
{
	size_t size = strcspn(variable, "=");

	for (const char *const *name = kept; *name != NULL; name++)
		if (strlen(*name) == size && strncmp(*name, variable, size) == 0)
			return true;
	return strncmp(variable, "LC_", 3) == 0;
}

static bool is_replaced(const struct exec_plan *plan, const char *variable)
{
	size_t size = strcspn(variable, "=");

	for (size_t i = 0; i < plan->count; i++)
		if (strlen(plan->variables[i].name) == size &&
			strncmp(plan->variables[i].name, variable, size) == 0)
			return true;
	return false;
}

static enum mortise_status put(struct exec_environment *environment, const char *name,
	size_t name_size, const void *value, size_t size)
{
	char *variable = malloc(name_size + size + 2);

	if (variable == NULL || environment->count + 1 >= environment->capacity) {
		free(variable);
		errno = ENOMEM;
		return MORTISE_IO;
	}
	memcpy(variable, name, name_size);
	variable[name_size] = '=';
	if (size > 0)
		memcpy(variable + name_size + 1, value, size);
	variable[name_size + 1 + size] = '\0';
	environment->variables[environment->count++] = variable;
	return MORTISE_OK;
}

static enum mortise_status inherit(
	const struct exec_plan *plan, bool is_clean, struct exec_environment *environment)
{
	for (char **variable = environ; *variable != NULL; variable++) {
		size_t size = strcspn(*variable, "=");

		if ((is_clean && !is_kept(*variable)) || (*variable)[size] == '\0' ||
			is_replaced(plan, *variable))
			continue;
		TRY(put(environment, *variable, size, *variable + size + 1,
			strlen(*variable + size + 1)));
	}
	return MORTISE_OK;
}

static enum mortise_status put_descriptor(struct exec_environment *environment,
	const struct exec_variable *variable, const struct fetched *value)
{
	int *descriptors = reallocarray(
		environment->descriptors, environment->descriptor_count + 1, sizeof *descriptors);
	char path[MEMORY_FILE_PATH_SIZE];
	int fd;

	if (descriptors == NULL)
		return MORTISE_IO;
	environment->descriptors = descriptors;
	fd = memory_file_new(variable->name);
	if (fd < 0)
		return MORTISE_IO;
	descriptors[environment->descriptor_count++] = fd;
	TRY(memory_file_fill(fd, value->bytes, value->size));
	if (fcntl(fd, F_SETFD, 0) != 0)
		return MORTISE_IO;
	memory_file_path(fd, path);
	return put(environment, variable->name, strlen(variable->name), path, strlen(path));
}

static enum mortise_status put_variable(struct exec_environment *environment,
	const struct exec_plan *plan, const struct exec_variable *variable)
{
	const struct fetched *value;

	if (variable->item == EXEC_PLAN_LITERAL)
		return put(environment, variable->name, strlen(variable->name), variable->literal,
			strlen(variable->literal));
	value = exec_plan_value(plan, variable);
	if (variable->is_descriptor)
		return put_descriptor(environment, variable, value);
	return put(environment, variable->name, strlen(variable->name), value->bytes, value->size);
}

static enum mortise_status make(
	const struct exec_plan *plan, bool is_clean, struct exec_environment *environment)
{
	size_t capacity = plan->count + 1;

	for (char **variable = environ; *variable != NULL; variable++)
		capacity++;
	environment->variables = calloc(capacity, sizeof *environment->variables);
	if (environment->variables == NULL)
		return MORTISE_IO;
	environment->capacity = capacity;
	TRY(inherit(plan, is_clean, environment));
	for (size_t i = 0; i < plan->count; i++)
		TRY(put_variable(environment, plan, &plan->variables[i]));
	return MORTISE_OK;
}

enum mortise_status exec_environment_make(
	const struct exec_plan *plan, bool is_clean, struct exec_environment *out_environment)
{
	struct exec_environment environment = {0};
	enum mortise_status status = make(plan, is_clean, &environment);
	int error = errno;

	if (status == MORTISE_OK)
		*out_environment = environment;
	else
		exec_environment_done(&environment);
	errno = error;
	return status;
}

void exec_environment_done(struct exec_environment *environment)
{
	for (size_t i = 0; i < environment->count; i++) {
		mortise_wipe(environment->variables[i], strlen(environment->variables[i]));
		free(environment->variables[i]);
	}
	free(environment->variables);
	for (size_t i = 0; i < environment->descriptor_count; i++)
		(void)close(environment->descriptors[i]);
	free(environment->descriptors);
	*environment = (struct exec_environment){0};
}
