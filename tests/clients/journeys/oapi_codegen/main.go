// What a user of the Go client by oapi-codegen does in a day; prints what it saw, as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	api "hookline-clients/hooklineapi"
)

const (
	pbx      = "000000000001"
	patience = 30 * time.Second
)

var ctx = context.Background()
var client = must(api.NewClientWithResponses(os.Getenv("HOOKLINE"), api.WithRequestEditorFn(
	func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+os.Getenv("KEY"))
		return nil
	},
)))

func must[T any](found T, err error) T {
	if err != nil {
		panic(err)
	}
	return found
}

// done returns what a call answered, and ends the program with the problem where it was refused.
func done[T any](found *T, body []byte) *T {
	if found == nil {
		panic(string(body))
	}
	return found
}

func all() (choice api.GroupChoice) {
	must(0, choice.FromGroupChoice1("all"))
	return choice
}

func only(types ...string) (choice api.GroupChoice) {
	must(0, choice.FromGroupChoice0(types))
	return choice
}

func webhookAt(url string, events api.EventSelection) api.IntegrationCreate {
	name, serial := "CRM", pbx
	made := api.IntegrationCreate{Name: &name, Pbx: &serial, Events: events}
	must(0, made.Transmission.FromWebhookTransmissionCreate(api.WebhookTransmissionCreate{Url: url}))
	return made
}

func create(wanted api.IntegrationCreate) *api.Integration {
	answer := must(client.CreateIntegrationWithResponse(ctx, nil, wanted))
	return done(answer.JSON201, answer.Body)
}

func createWebhook() *api.Integration {
	events := api.EventSelection{"call": all(), "analytics": only("call:completed")}
	return create(webhookAt(os.Getenv("TARGET"), events))
}

func createQueue() *api.Integration {
	name, serial := "Warehouse", pbx
	made := api.IntegrationCreate{
		Name: &name, Pbx: &serial, Events: api.EventSelection{"chat": all()},
	}
	must(0, made.Transmission.FromSqsTransmissionCreate(api.SqsTransmissionCreate{
		Url:             "https://sqs.eu-central-1.amazonaws.com/123456789012/pbx-events",
		AccessKeyId:     "AKIAIOSFODNN7EXAMPLE",
		SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	}))
	return create(made)
}

func currentRole() api.Role {
	answer := must(client.GetCurrentKeyWithResponse(ctx))
	return done(answer.JSON200, answer.Body).Role
}

func groups() (names []string) {
	answer := must(client.ListEventTypesWithResponse(ctx, nil))
	for _, group := range done(answer.JSON200, answer.Body).Groups {
		names = append(names, group.Name)
	}
	return names
}

func accessKeyID(queue *api.Integration) string {
	found := must(queue.Transmission.ValueByDiscriminator())
	return found.(api.SqsTransmission).AccessKeyId
}

func wrongFields() (paths []string) {
	events := api.EventSelection{"call": only("call:nonsense")}
	wrong := webhookAt("https://user:word@crm.example.com/hook", events)
	answer := must(client.CreateIntegrationWithResponse(ctx, nil, wrong))
	for _, each := range done(answer.ApplicationproblemJSON422, answer.Body).Errors {
		paths = append(paths, each.Path)
	}
	return paths
}

func pages() (seen [][]string) {
	one := 1
	parameters := api.ListIntegrationsParams{Limit: &one}
	for {
		answer := must(client.ListIntegrationsWithResponse(ctx, &parameters))
		page := done(answer.JSON200, answer.Body)
		names := []string{}
		for _, integration := range page.Items {
			names = append(names, integration.Name)
		}
		seen = append(seen, names)
		if page.Next == nil {
			return seen
		}
		parameters.Cursor = page.Next
	}
}

func searched() (names []string) {
	part := "wareH"
	answer := must(client.ListIntegrationsWithResponse(ctx, &api.ListIntegrationsParams{Search: &part}))
	for _, integration := range done(answer.JSON200, answer.Body).Items {
		names = append(names, integration.Name)
	}
	return names
}

func secrets(webhook *api.Integration) map[string]bool {
	first := must(webhook.Transmission.AsWebhookTransmission()).Secret
	hours := 1
	rotation := api.SecretRotationRequest{GracePeriodHours: &hours}
	answer := must(client.RotateIntegrationSecretWithResponse(ctx, webhook.Id, nil, rotation))
	rotated := done(answer.JSON200, answer.Body)
	return map[string]bool{
		"shownOnce":     first != nil && len(*first) == 32,
		"replaced":      rotated.Secret != *first,
		"oldSignsAlong": rotated.OldSecretUntil != nil,
	}
}

func anEvent(call string) api.EventCreate {
	serial := pbx
	return api.EventCreate{
		Id: call, Pbx: &serial, Company: "it_w000001", Time: 1721836787753, Type: "call:completed",
		Data: api.EventData{"direction": "inbound"},
	}
}

func batch() (told []string) {
	events := []api.EventCreate{anEvent("one"), anEvent("one"), anEvent("")}
	answer := must(client.SendEventBatchWithResponse(ctx, api.EventBatchCreate{Events: events}))
	for _, result := range done(answer.JSON202, answer.Body).Results {
		if result.Status == api.BatchStatusInvalid {
			told = append(told, "invalid: "+result.Error.Type)
		} else if result.EventId != nil {
			told = append(told, string(result.Status))
		}
	}
	return told
}

func sendTest(webhook *api.Integration) []any {
	wanted := api.TestRequest{Type: "call:completed"}
	answer := must(client.TestIntegrationWithResponse(ctx, webhook.Id, wanted))
	result := done(answer.JSON200, answer.Body)
	attempt := result.Attempt
	return []any{attempt.Outcome, attempt.StatusCode, result.Headers["webhook-attempt"]}
}

func retry(webhook *api.Integration) map[string]any {
	sent := must(client.SendEventWithResponse(ctx, anEvent("two")))
	record := must(client.GetEventWithResponse(ctx, done(sent.JSON202, sent.Body).EventId))
	var id uuid.UUID
	for _, outcome := range done(record.JSON200, record.Body).Outcomes {
		if outcome.DeliveryId != nil {
			id = *outcome.DeliveryId
		}
	}
	delivered(id, 1)
	again := must(client.RetryDeliveryWithResponse(ctx, id))
	done(again.JSON202, again.Body)
	last := delivered(id, 2)
	parameters := api.ListDeliveriesParams{
		IntegrationId: &webhook.Id, Status: &[]api.DeliveryStatus{api.DeliveryStatusDelivered},
	}
	answer := must(client.ListDeliveriesWithResponse(ctx, &parameters))
	listed := false
	for _, delivery := range done(answer.JSON200, answer.Body).Items {
		listed = listed || delivery.Id == id
	}
	outcomes := []api.AttemptOutcome{}
	for _, attempt := range last.Attempts {
		outcomes = append(outcomes, attempt.Outcome)
	}
	return map[string]any{"status": last.Status, "attempts": outcomes, "listed": listed}
}

// delivered asks until so many attempts have ended.
func delivered(id uuid.UUID, attempts int) *api.Delivery {
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		answer := must(client.GetDeliveryWithResponse(ctx, id))
		found := done(answer.JSON200, answer.Body)
		if found.Status == api.DeliveryStatusDelivered && len(found.Attempts) >= attempts {
			return found
		}
	}
	panic(id.String() + " was not delivered in time")
}

func change(webhook *api.Integration) []any {
	read := must(client.GetIntegrationWithResponse(ctx, webhook.Id, nil))
	tag, enabled, rate := read.HTTPResponse.Header.Get("ETag"), false, float32(5)
	parameters := api.UpdateIntegrationParams{IfMatch: &tag}
	changes := api.IntegrationPatch{Enabled: &enabled, RateLimit: &rate}
	update := client.UpdateIntegrationWithApplicationMergePatchPlusJSONBodyWithResponse
	answer := must(update(ctx, webhook.Id, &parameters, changes))
	changed := done(answer.JSON200, answer.Body)
	stale := must(update(ctx, webhook.Id, &parameters, changes))
	return []any{
		changed.Enabled,
		changed.RateLimit,
		changed.Health.DisabledReason,
		done(stale.ApplicationproblemJSON412, stale.Body).Type,
	}
}

func gone(queue *api.Integration) []any {
	deleted := must(client.DeleteIntegrationWithResponse(ctx, queue.Id, nil))
	answer := must(client.GetIntegrationWithResponse(ctx, queue.Id, nil))
	missing := done(answer.ApplicationproblemJSON404, answer.Body)
	return []any{deleted.StatusCode(), missing.Status, missing.Type}
}

func describe() []any {
	days := 7
	wanted := api.PbxPut{
		Company: "it_w000001", License: api.XBees, RetentionDays: &days,
	}
	answer := must(client.PutPbxWithResponse(ctx, "000000000002", nil, wanted))
	put := done(answer.JSON200, answer.Body)
	return []any{put.Pbx, put.License, put.RetentionDays}
}

// follow reads along until a delivery has ended; the call without a parsed answer is the one to use.
func follow(webhook *api.Integration) {
	wanted := api.StreamDeliveriesParams{IntegrationId: &webhook.Id}
	answer := must(client.StreamDeliveries(ctx, &wanted))
	defer func() { _ = answer.Body.Close() }()
	event := anEvent("stream")
	event.Type = "call:update"
	lines, reading := bufio.NewScanner(answer.Body), false
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "id: ") && !reading { // from here on it reads along
			reading = true
			sent := must(client.SendEventWithResponse(ctx, event))
			done(sent.JSON202, sent.Body)
		}
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		var ended api.Delivery
		must(0, json.Unmarshal([]byte(data), &ended))
		if ended.IntegrationId != webhook.Id || ended.Type != "call:update" || ended.Status != "delivered" {
			panic(data)
		}
		return
	}
	panic(fmt.Sprint("the stream ended: ", lines.Err()))
}

func main() {
	webhook, queue := createWebhook(), createQueue()
	seen := map[string]any{}
	seen["key"] = currentRole()
	seen["groups"] = groups()
	seen["accessKeyId"] = accessKeyID(queue)
	seen["wrong"] = wrongFields()
	seen["pages"] = pages()
	seen["searched"] = searched()
	seen["secrets"] = secrets(webhook)
	seen["batch"] = batch()
	seen["test"] = sendTest(webhook)
	seen["retried"] = retry(webhook)
	follow(webhook)
	seen["changed"] = change(webhook)
	seen["after"] = gone(queue)
	seen["pbx"] = describe()
	administer(seen, webhook)
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		panic(err)
	}
}
