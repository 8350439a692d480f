/* SPDX-License-Identifier: ISC */
/* What may be kept, by the policy's quotas. */
#include <assert.h>
#include <stdio.h>

#include "exchange.h"

#define COUNTED_IN_MS 200 /* when it is worth asking again */

static size_t classify(void *context, uint32_t uid, const char *path,
	struct census_class out_classes[VAULT_CLASSES_MAX])
{
	const struct agent *agent = context;
	size_t count = 0;

	for (size_t i = 0; agent->policy && i < policy_quota_count(agent->policy); i++)
		if (policy_quota_counts(agent->policy, i, uid, path))
			out_classes[count++] = (struct census_class){(uint32_t)i,
				policy_quota_at(agent->policy, i).is_each_users ? uid : UINT32_MAX};
	return count;
}

static_assert(POLICY_QUOTAS_MAX < VAULT_CLASSES_MAX, "a class for each quota, and the default's");

enum mortise_status quota_begin(struct agent *agent, struct vault *vault)
{
	return vault_count_by(vault, classify, agent);
}

static enum mortise_status refuse(struct exchange *exchange, const char *path,
	const struct policy_quota *quota, const struct census_sum *kept)
{
	bool is_size = quota->size_max && kept->size_bytes > quota->size_max;

	return exchange_fail(exchange, MORTISE_DENIED,
		"%s: it would be more than the quota %s allows (%llu %s%s); destroy what is not "
		"needed, or ask an administrator",
		path, quota->title,
		(unsigned long long)(is_size ? quota->size_max : quota->secrets_max),
		is_size ? "bytes, old versions and deleted secrets counted" : "secrets",
		quota->is_each_users ? ", for each user" : "");
}

static enum mortise_status claim(struct exchange *exchange, struct census *claims, const char *path,
	const struct census_class *class_of, const struct census_sum *sum)
{
	const struct agent *agent = exchange->agent;
	const struct policy_quota quota = policy_quota_at(agent->policy, class_of->number);
	struct vault *vault = lifecycle_vault(agent->lifecycle);
	struct census_sum kept = {0};

	if (quota.is_default && exchange_is_administrator(exchange))
		return MORTISE_OK;
	if (vault_counted(vault, class_of, &kept) != MORTISE_OK) {
		/* Without memory it was not begun. */
		if (!vault_is_counting(vault) && quota_begin(exchange->agent, vault) == MORTISE_OK)
			lifecycle_count(agent->lifecycle);
		exchange->wait_ms = COUNTED_IN_MS;
		return exchange_fail(exchange, MORTISE_BUSY,
			"what users keep is still being counted, after an unseal or a new policy");
	}
	TRY(census_add(claims, class_of, sum));
	const struct census_sum claimed = census_sum_of(claims, class_of);
	kept.size_bytes += claimed.size_bytes;
	kept.secrets += claimed.secrets;
	if ((quota.size_max && kept.size_bytes > quota.size_max) ||
		(quota.secrets_max && kept.secrets > quota.secrets_max))
		return refuse(exchange, path, &quota, &kept);
	return MORTISE_OK;
}

enum mortise_status exchange_keep(
	struct exchange *exchange, struct census *claims, const struct vault_write *write)
{
	const struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	const struct census_sum sum = {
		write->size + VAULT_VERSION_COST, !vault_has(vault, write->path)};
	struct census_class classes[VAULT_CLASSES_MAX];

	if (vault_was_written(vault, write))
		return MORTISE_OK;
	size_t count = classify(exchange->agent, write->uid, write->path, classes);
	for (size_t i = 0; i < count; i++)
		TRY(claim(exchange, claims, write->path, &classes[i], &sum));
	return MORTISE_OK;
}

static void drop_census(struct census **census)
{
	census_free(*census);
}

enum mortise_status exchange_keep_one(struct exchange *exchange, const struct vault_write *write)
{
	CLEANUP(drop_census) struct census *claims = NULL;

	TRY(census_new(&claims));
	return exchange_keep(exchange, claims, write);
}

/* A version counts anew where its new path has a class that the old one has not. */
enum mortise_status exchange_keep_moved(struct exchange *exchange, const char *new_path)
{
	struct vault *vault = lifecycle_vault(exchange->agent->lifecycle);
	struct census_class old[VAULT_CLASSES_MAX], new[VAULT_CLASSES_MAX];
	CLEANUP(drop_census) struct census *claims = NULL;
	struct vault_version versions[VAULT_VERSIONS_MAX];
	struct vault_head head;
	size_t count = 0;

	TRY(census_new(&claims));
	if (vault_show(vault, exchange->path, &head, versions, &count) != MORTISE_OK)
		return MORTISE_OK; /* the move itself will say so */
	for (size_t i = 0; i < count; i++) {
		const struct census_sum sum = {versions[i].size_bytes + VAULT_VERSION_COST, i == 0};
		size_t olds = classify(exchange->agent, versions[i].uid, exchange->path, old);
		size_t news = classify(exchange->agent, versions[i].uid, new_path, new);
		for (size_t j = 0, at = 0; j < news; j++) {
			while (at < olds && old[at].number < new[j].number)
				at++;
			if (at == olds || old[at].number != new[j].number)
				TRY(claim(exchange, claims, new_path, &new[j], &sum));
		}
	}
	return MORTISE_OK;
}

/* ---- for doctor ---- */

#define NEARLY_PERCENT 90

struct telling {
	const struct policy *policy;
	char *text;
	size_t used, size;
};

static unsigned percent(uint64_t kept, uint64_t most)
{
	return most ? (unsigned)(100.0 * (double)kept / (double)most) : 0;
}

static void tell(void *context, const struct census_class *class_of, const struct census_sum *sum)
{
	struct telling *telling = context;
	const struct policy_quota quota = policy_quota_at(telling->policy, class_of->number);
	unsigned by_size = percent(sum->size_bytes, quota.size_max);
	unsigned by_number = percent(sum->secrets, quota.secrets_max);
	char whose[32] = "";

	if ((by_size < NEARLY_PERCENT && by_number < NEARLY_PERCENT) ||
		(quota.is_default && class_of->uid == 0))
		return;
	if (class_of->uid != UINT32_MAX)
		snprintf(whose, sizeof whose, " of uid %u", class_of->uid);
	int more = snprintf(telling->text + telling->used, telling->size - telling->used,
		"%s%s%s (%u %%)", telling->used ? ", " : "", quota.title, whose,
		by_size > by_number ? by_size : by_number);
	if (more > 0 && (size_t)more < telling->size - telling->used)
		telling->used += (size_t)more;
	else
		telling->text[telling->used] = '\0';
}

void quota_describe_nearly_used(const struct agent *agent, char *out_text, size_t size)
{
	const struct vault *vault = lifecycle_vault(agent->lifecycle);
	struct telling telling = {.policy = agent->policy, .text = out_text, .size = size};

	out_text[0] = '\0';
	if (vault && agent->policy)
		vault_counted_each(vault, tell, &telling);
}
