package main

import (
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"hookline-clients/hookline"
)

const (
	otherPbx = "000000000009"
	parked   = "call:live:parked"
)

// administer does what an administrator does, and adds what it saw.
func administer(seen map[string]any, webhook *hookline.Integration) {
	seen["keys"] = keys()
	seen["system"] = system()
	seen["types"] = types()
	seen["replays"] = replays()
	seen["erasures"] = erasures()
	seen["reads"] = reads(webhook)
}

// status returns the status of a call that answers nothing, and ends the program where it failed.
func status(response *http.Response, err error) int {
	return must(response, response, err).StatusCode
}

func keys() map[string]any {
	wanted := hookline.NewApiKeyCreate(hookline.ROLE_MANAGER)
	wanted.SetPbx(otherPbx)
	wanted.SetName("Session")
	wanted.SetExpiresAt(time.Now().Add(time.Hour))
	made := must(client.KeysAPI.CreateKey(ctx).ApiKeyCreate(*wanted).Execute())
	session := context.WithValue(context.Background(), hookline.ContextAccessToken, made.Key)
	opened := must(client.IntegrationsAPI.ListIntegrations(session).Execute())
	revoked := status(client.KeysAPI.RevokeKey(ctx, made.Id).Execute())
	_, _, refused := client.IntegrationsAPI.ListIntegrations(session).Execute()
	page := must(client.KeysAPI.ListKeys(ctx).Pbx(otherPbx).Role(hookline.ROLE_MANAGER).
		State(hookline.KEYSTATE_REVOKED).Execute())
	names := []*string{}
	for _, key := range page.Items {
		if key.Id == made.Id {
			names = append(names, key.Name.Get())
		}
	}
	return map[string]any{
		"opened":  len(opened.Items),
		"revoked": revoked,
		"then":    problem[hookline.Problem](refused).Type,
		"listed":  names,
	}
}

func system() map[string]any {
	found := must(client.SystemAPI.GetSystem(ctx).Execute())
	return map[string]any{
		"api":       found.Engines[0].Api,
		"current":   found.Migrations.Current.Get() != nil && *found.Migrations.Current.Get() == found.Migrations.Newest,
		"pending":   found.Backlog.Pending,
		"oldestDue": found.OldestDue.Get(),
	}
}

func types() map[string]any {
	data := map[string]interface{}{"slot": 71}
	event := hookline.NewEventCreate("1", "it_w000009", 1, parked, data)
	must(client.EventsAPI.SendEvent(ctx).EventCreate(*event).Execute())
	unknown := [][]any{}
	for _, each := range must(client.EventTypesAPI.ListEventTypes(ctx).Unknown(true).Execute()).Unknown {
		if each.Name == parked {
			unknown = append(unknown, []any{each.Group.Get(), each.Count})
		}
	}
	example := map[string]interface{}{
		"id": "1", "company": "it_w000009", "time": 1, "type": parked, "data": data,
	}
	wanted := hookline.NewEventTypePut("call", "Parked", example)
	added := must(client.EventTypesAPI.PutEventType(ctx, parked).EventTypePut(*wanted).Execute())
	listed := []string{}
	for _, group := range must(client.EventTypesAPI.ListEventTypes(ctx).Execute()).Groups {
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
		"deleted": status(client.EventTypesAPI.DeleteEventType(ctx, parked).Execute()),
	}
}

func replays() []any {
	events := map[string]hookline.GroupChoice{"call": all()}
	wanted := webhookAt(os.Getenv("TARGET"), events)
	wanted.SetPbx(otherPbx)
	integration := create(wanted)
	until := time.Now()
	asked := hookline.NewReplayCreate(until.Add(-time.Hour), until)
	asked.SetMissing(true)
	job := startReplay(integration.Id, *asked).Replay
	must(client.ReplaysAPI.CancelReplay(ctx, job.Id).Execute())
	read := must(client.ReplaysAPI.GetReplay(ctx, job.Id).Execute())
	page := must(client.ReplaysAPI.ListReplays(ctx, integration.Id).Execute())
	if len(page.Items) != 1 || page.Items[0].Id != job.Id {
		panic("The replay is not listed.")
	}
	asked.SetDryRun(true)
	counted := startReplay(integration.Id, *asked).ReplayCount
	deleted := status(client.IntegrationsAPI.DeleteIntegration(ctx, integration.Id).Execute())
	return []any{counted.Total, read.Queued, deleted}
}

func startReplay(id string, asked hookline.ReplayCreate) *hookline.ReplayStart {
	return must(client.ReplaysAPI.StartReplay(ctx, id).ReplayCreate(asked).Execute())
}

func erasures() []any {
	wanted := hookline.NewErasureCreate()
	wanted.SetPbx(otherPbx)
	wanted.SetSubject("nobody")
	job := must(client.ErasuresAPI.StartErasure(ctx).ErasureCreate(*wanted).Execute())
	read := must(client.ErasuresAPI.GetErasure(ctx, job.Id).Execute())
	items := must(client.ErasuresAPI.ListErasures(ctx).Execute()).Items
	listed := slices.ContainsFunc(items, func(each hookline.Erasure) bool { return each.Id == job.Id })
	return []any{read.Pbx.Get(), read.Subject.Get(), listed}
}

func reads(webhook *hookline.Integration) map[string]any {
	secret := must(client.IntegrationsAPI.GetIntegrationSecret(ctx, webhook.Id).Execute())
	subjects := []string{}
	page := must(client.EventsAPI.ListEvents(ctx).Pbx(pbx).Type_("call:completed").Execute())
	for _, event := range page.Items {
		subjects = append(subjects, event.Subject)
	}
	return map[string]any{
		"secret":     len(secret.Secret),
		"events":     subjects,
		"statistics": statistics(webhook),
		"filter":     tryFilter(),
		"pbxs":       pbxs(),
		"health":     health(),
	}
}

// statistics tells whether what was delivered twice by hand has ended twice.
func statistics(webhook *hookline.Integration) []bool {
	ofOne := must(client.DeliveriesAPI.GetIntegrationStatistics(ctx, webhook.Id).Execute())
	ofAll := must(client.DeliveriesAPI.GetStatistics(ctx).Pbx(pbx).
		Interval(hookline.INTERVAL_DAY).Execute())
	told := []bool{}
	for _, found := range []*hookline.Statistics{ofOne, ofAll} {
		delivered := int32(0)
		for _, bucket := range found.Buckets {
			delivered += bucket.Delivered
		}
		told = append(told, delivered >= 2)
	}
	each := must(client.DeliveriesAPI.GetStatisticsByIntegration(ctx).
		IntegrationId([]string{webhook.Id}).Execute())
	delivered := int32(0)
	for _, count := range each.Items[0].Delivered {
		delivered += count
	}
	return append(told, delivered >= 2)
}

func tryFilter() []any {
	pattern := map[string]interface{}{"type": []string{"call:start"}}
	wanted := hookline.NewFilterTrialRequest(pattern)
	wanted.SetOmit([]string{"data.x"})
	wanted.SetEvents([]map[string]interface{}{{
		"id": "1", "company": "it_w000009", "time": 1, "type": "call:end", "data": map[string]interface{}{"x": 1},
	}})
	found := must(client.FiltersAPI.TryFilter(ctx).FilterTrialRequest(*wanted).Execute())
	return []any{found.Passing, found.Items[0].RefusedBy.Get()}
}

func pbxs() []any {
	serials := []string{}
	page := must(client.PBXRecordsAPI.ListPbxs(ctx).License(hookline.PBXLICENCE_X_BEES).Execute())
	for _, record := range page.Items {
		serials = append(serials, record.Pbx)
	}
	read := must(client.PBXRecordsAPI.GetPbx(ctx, serials[0]).Execute())
	deleted := status(client.PBXRecordsAPI.DeletePbx(ctx, serials[0]).Execute())
	return []any{serials, read.Company, deleted}
}

func health() []any {
	metrics := must(client.HealthAPI.GetMetrics(ctx).Execute())
	return []any{
		must(client.HealthAPI.GetLiveness(ctx).Execute()).Status,
		must(client.HealthAPI.GetReadiness(ctx).Execute()).Status,
		strings.Contains(metrics, "\n# TYPE hookline_"),
	}
}
