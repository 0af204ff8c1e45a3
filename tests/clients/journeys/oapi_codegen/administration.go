package main

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	api "hookline-clients/hooklineapi"
)

const (
	otherPbx = "000000000009"
	parked   = "call:live:parked"
)

// administer does what an administrator does, and adds what it saw.
func administer(seen map[string]any, webhook *api.Integration) {
	seen["keys"] = keys()
	seen["system"] = system()
	seen["types"] = types()
	seen["replays"] = replays()
	seen["erasures"] = erasures()
	seen["reads"] = reads(webhook)
}

func at[T any](value T) *T {
	return &value
}

func keys() map[string]any {
	role, state, serial := api.Manager, api.KeyStateRevoked, otherPbx
	answer := must(client.CreateKeyWithResponse(ctx, api.ApiKeyCreate{
		Role: role, Pbx: &serial, Name: at("Session"), ExpiresAt: at(time.Now().Add(time.Hour)),
	}))
	made := done(answer.JSON201, answer.Body)
	session := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+made.Key)
		return nil
	}
	opened := must(client.ListIntegrationsWithResponse(ctx, nil, session))
	revoked := must(client.RevokeKeyWithResponse(ctx, made.Id))
	refused := must(client.ListIntegrationsWithResponse(ctx, nil, session))
	parameters := api.ListKeysParams{Role: &role, Pbx: &serial, State: &state}
	listed := must(client.ListKeysWithResponse(ctx, &parameters))
	names := []*string{}
	for _, key := range done(listed.JSON200, listed.Body).Items {
		if key.Id == made.Id {
			names = append(names, key.Name)
		}
	}
	return map[string]any{
		"opened":  len(done(opened.JSON200, opened.Body).Items),
		"revoked": revoked.StatusCode(),
		"then":    done(refused.ApplicationproblemJSON401, refused.Body).Type,
		"listed":  names,
	}
}

func system() map[string]any {
	answer := must(client.GetSystemWithResponse(ctx))
	found := done(answer.JSON200, answer.Body)
	return map[string]any{
		"api":       found.Engines[0].Api,
		"current":   found.Migrations.Current != nil && *found.Migrations.Current == found.Migrations.Newest,
		"pending":   found.Backlog.Pending,
		"oldestDue": found.OldestDue,
	}
}

func types() map[string]any {
	sent := must(client.SendEventWithResponse(ctx, api.EventCreate{
		Id: "1", Company: "it_w000009", Time: 1, Type: parked, Data: api.EventData{"slot": 71},
	}))
	done(sent.JSON202, sent.Body)
	before := must(client.ListEventTypesWithResponse(ctx, &api.ListEventTypesParams{Unknown: at(true)}))
	unknown := [][]any{}
	for _, each := range *done(before.JSON200, before.Body).Unknown {
		if each.Name == parked {
			unknown = append(unknown, []any{each.Group, each.Count})
		}
	}
	example := api.EventExample{
		"id": "1", "company": "it_w000009", "time": 1, "type": parked, "data": api.EventData{"slot": 71},
	}
	wanted := api.EventTypePut{Group: "call", Title: "Parked", Example: example}
	put := must(client.PutEventTypeWithResponse(ctx, parked, wanted))
	added := done(put.JSON200, put.Body)
	after := must(client.ListEventTypesWithResponse(ctx, nil))
	listed := []string{}
	for _, group := range done(after.JSON200, after.Body).Groups {
		for _, each := range group.Types {
			if !each.BuiltIn {
				listed = append(listed, each.Name)
			}
		}
	}
	return map[string]any{
		"unknown": unknown,
		"added":   []any{added.Group, added.Title, added.Format, added.BuiltIn},
		"listed":  listed,
		"deleted": must(client.DeleteEventTypeWithResponse(ctx, parked)).StatusCode(),
	}
}

func replays() []any {
	wanted := webhookAt(os.Getenv("TARGET"), api.EventSelection{"call": all()})
	wanted.Pbx = at(otherPbx)
	id, until := create(wanted).Id, time.Now()
	asked := api.ReplayCreate{Since: until.Add(-time.Hour), Until: until, Missing: at(true)}
	started := must(client.StartReplayWithResponse(ctx, id, asked))
	job := must(done(started.JSON202, started.Body).AsReplay())
	cancelled := must(client.CancelReplayWithResponse(ctx, job.Id))
	done(cancelled.JSON200, cancelled.Body)
	read := must(client.GetReplayWithResponse(ctx, job.Id))
	listed := must(client.ListReplaysWithResponse(ctx, id, nil))
	items := done(listed.JSON200, listed.Body).Items
	if len(items) != 1 || items[0].Id != job.Id {
		panic("The replay is not listed.")
	}
	asked.DryRun = at(true)
	counted := must(client.StartReplayWithResponse(ctx, id, asked))
	count := must(done(counted.JSON200, counted.Body).AsReplayCount())
	deleted := must(client.DeleteIntegrationWithResponse(ctx, id, nil)).StatusCode()
	return []any{
		count.Total, done(read.JSON200, read.Body).Queued, deleted,
	}
}

func erasures() []any {
	wanted := api.ErasureCreate{Pbx: at(otherPbx), Subject: at("nobody")}
	started := must(client.StartErasureWithResponse(ctx, wanted))
	var id uuid.UUID = done(started.JSON202, started.Body).Id
	answer := must(client.GetErasureWithResponse(ctx, id))
	read := done(answer.JSON200, answer.Body)
	list := must(client.ListErasuresWithResponse(ctx, nil))
	items := done(list.JSON200, list.Body).Items
	listed := slices.ContainsFunc(items, func(each api.Erasure) bool { return each.Id == id })
	return []any{read.Pbx, read.Subject, listed}
}

func reads(webhook *api.Integration) map[string]any {
	secret := must(client.GetIntegrationSecretWithResponse(ctx, webhook.Id))
	subjects := []string{}
	page := must(client.ListEventsWithResponse(ctx, &api.ListEventsParams{
		Pbx: at(pbx), Type: at("call:completed"),
	}))
	for _, event := range done(page.JSON200, page.Body).Items {
		subjects = append(subjects, event.Subject)
	}
	return map[string]any{
		"secret":     len(done(secret.JSON200, secret.Body).Secret),
		"events":     subjects,
		"statistics": statistics(webhook),
		"filter":     tryFilter(),
		"pbxs":       pbxs(),
		"health":     health(),
	}
}

// statistics tells whether what was delivered twice by hand has ended twice.
func statistics(webhook *api.Integration) []bool {
	ofOne := must(client.GetIntegrationStatisticsWithResponse(ctx, webhook.Id, nil))
	ofAll := must(client.GetStatisticsWithResponse(ctx, &api.GetStatisticsParams{
		Pbx: at(pbx), Interval: at(api.Day),
	}))
	told := []bool{}
	for _, found := range []*api.Statistics{
		done(ofOne.JSON200, ofOne.Body), done(ofAll.JSON200, ofAll.Body),
	} {
		delivered := 0
		for _, bucket := range found.Buckets {
			delivered += int(bucket.Delivered)
		}
		told = append(told, delivered >= 2)
	}
	each := must(client.GetStatisticsByIntegrationWithResponse(
		ctx, &api.GetStatisticsByIntegrationParams{IntegrationId: []string{webhook.Id}},
	))
	delivered := 0
	for _, count := range done(each.JSON200, each.Body).Items[0].Delivered {
		delivered += int(count)
	}
	return append(told, delivered >= 2)
}

func tryFilter() []any {
	answer := must(client.TryFilterWithResponse(ctx, api.FilterTrialRequest{
		Filter: &map[string]interface{}{"type": []string{"call:start"}},
		Omit:   &[]string{"data.x"},
		Events: &[]map[string]interface{}{{
			"id": "1", "company": "it_w000009", "time": 1, "type": "call:end",
			"data": api.EventData{"x": 1},
		}},
	}))
	found := done(answer.JSON200, answer.Body)
	return []any{found.Passing, found.Items[0].RefusedBy}
}

func pbxs() []any {
	page := must(client.ListPbxsWithResponse(ctx, &api.ListPbxsParams{License: at(api.XBees)}))
	serials := []string{}
	for _, record := range done(page.JSON200, page.Body).Items {
		serials = append(serials, record.Pbx)
	}
	read := must(client.GetPbxWithResponse(ctx, serials[0], nil))
	deleted := must(client.DeletePbxWithResponse(ctx, serials[0], nil)).StatusCode()
	return []any{serials, done(read.JSON200, read.Body).Company, deleted}
}

func health() []any {
	live := must(client.GetLivenessWithResponse(ctx))
	ready := must(client.GetReadinessWithResponse(ctx))
	metrics := string(must(client.GetMetricsWithResponse(ctx)).Body)
	return []any{
		done(live.JSON200, live.Body).Status,
		done(ready.JSON200, ready.Body).Status,
		strings.Contains(metrics, "\n# TYPE hookline_"),
	}
}
