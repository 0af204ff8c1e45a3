// What a user of the Go client by openapi-generator does in a day; prints what it saw, as JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"hookline-clients/hookline"
)

const (
	pbx      = "000000000001"
	patience = 30 * time.Second
)

var client = hookline.NewAPIClient(configuration())
var ctx = context.WithValue(context.Background(), hookline.ContextAccessToken, os.Getenv("KEY"))

func configuration() *hookline.Configuration {
	made := hookline.NewConfiguration()
	made.Servers = hookline.ServerConfigurations{{URL: os.Getenv("HOOKLINE")}}
	return made
}

// must returns what a call answered, and ends the program where it failed.
func must[T any](found T, _ *http.Response, err error) T {
	if err != nil {
		var refused *hookline.GenericOpenAPIError
		if errors.As(err, &refused) {
			panic(string(refused.Body()))
		}
		panic(err)
	}
	return found
}

// problem returns what a refused call said.
func problem[T any](err error) T {
	var refused *hookline.GenericOpenAPIError
	if !errors.As(err, &refused) {
		panic(fmt.Sprint("not refused: ", err))
	}
	return refused.Model().(T)
}

func all() hookline.GroupChoice {
	return hookline.StringAsGroupChoice(hookline.PtrString("all"))
}

func only(types ...string) hookline.GroupChoice {
	return hookline.ArrayOfStringAsGroupChoice(&types)
}

func webhookAt(url string, events map[string]hookline.GroupChoice) hookline.IntegrationCreate {
	webhook := hookline.NewWebhookTransmissionCreate("WEBHOOK", url)
	target := hookline.WebhookTransmissionCreateAsTransmissionCreate(webhook)
	made := hookline.NewIntegrationCreate(target, events)
	made.SetName("CRM")
	made.SetPbx(pbx)
	return *made
}

func create(wanted hookline.IntegrationCreate) *hookline.Integration {
	return must(client.IntegrationsAPI.CreateIntegration(ctx).IntegrationCreate(wanted).Execute())
}

func createWebhook() *hookline.Integration {
	return create(webhookAt(os.Getenv("TARGET"), map[string]hookline.GroupChoice{
		"call": all(), "analytics": only("call:completed"),
	}))
}

func createQueue() *hookline.Integration {
	queue := hookline.NewSqsTransmissionCreate(
		"AWS_SQS",
		"https://sqs.eu-central-1.amazonaws.com/123456789012/pbx-events",
		"AKIAIOSFODNN7EXAMPLE",
		"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	)
	target := hookline.SqsTransmissionCreateAsTransmissionCreate(queue)
	made := hookline.NewIntegrationCreate(target, map[string]hookline.GroupChoice{"chat": all()})
	made.SetName("Warehouse")
	made.SetPbx(pbx)
	return create(*made)
}

func groups() (names []string) {
	for _, group := range must(client.EventTypesAPI.ListEventTypes(ctx).Execute()).Groups {
		names = append(names, group.Name)
	}
	return names
}

func wrongFields() (paths []string) {
	wrong := webhookAt("https://user:word@crm.example.com/hook", map[string]hookline.GroupChoice{
		"call": only("call:nonsense"),
	})
	_, _, err := client.IntegrationsAPI.CreateIntegration(ctx).IntegrationCreate(wrong).Execute()
	for _, each := range problem[hookline.InvalidInputProblem](err).Errors {
		paths = append(paths, each.Path)
	}
	return paths
}

func pages() (seen [][]string) {
	request := client.IntegrationsAPI.ListIntegrations(ctx).Limit(1)
	for {
		page := must(request.Execute())
		names := []string{}
		for _, integration := range page.Items {
			names = append(names, integration.Name)
		}
		seen = append(seen, names)
		if page.Next.Get() == nil {
			return seen
		}
		request = request.Cursor(page.GetNext())
	}
}

func searched() (names []string) {
	found := must(client.IntegrationsAPI.ListIntegrations(ctx).Search("wareH").Execute())
	for _, integration := range found.Items {
		names = append(names, integration.Name)
	}
	return names
}

func secrets(webhook *hookline.Integration) map[string]bool {
	first := webhook.Transmission.WebhookTransmission.GetSecret()
	rotation := hookline.NewSecretRotationRequest()
	rotation.SetGracePeriodHours(1)
	rotated := must(client.IntegrationsAPI.RotateIntegrationSecret(ctx, webhook.Id).
		SecretRotationRequest(*rotation).Execute())
	return map[string]bool{
		"shownOnce":     len(first) == 32,
		"replaced":      rotated.Secret != first,
		"oldSignsAlong": rotated.OldSecretUntil.Get() != nil,
	}
}

func anEvent(call string) hookline.EventCreate {
	data := map[string]interface{}{"direction": "inbound"}
	event := hookline.NewEventCreate(call, "it_w000001", 1721836787753, "call:completed", data)
	event.SetPbx(pbx)
	return *event
}

func batch() (told []string) {
	events := []hookline.EventCreate{anEvent("one"), anEvent("one"), anEvent("")}
	receipt := must(client.EventsAPI.SendEventBatch(ctx).
		EventBatchCreate(*hookline.NewEventBatchCreate(events)).Execute())
	for _, result := range receipt.Results {
		if result.Status == hookline.BATCHSTATUS_INVALID {
			told = append(told, "invalid: "+result.Error.Type)
		} else if result.EventId != nil {
			told = append(told, string(result.Status))
		}
	}
	return told
}

func sendTest(webhook *hookline.Integration) []any {
	result := must(client.IntegrationsAPI.TestIntegration(ctx, webhook.Id).
		TestRequest(*hookline.NewTestRequest("call:completed")).Execute())
	attempt := result.Attempt
	return []any{attempt.Outcome, attempt.StatusCode.Get(), result.Headers["webhook-attempt"]}
}

func retry(webhook *hookline.Integration) map[string]any {
	receipt := must(client.EventsAPI.SendEvent(ctx).EventCreate(anEvent("two")).Execute())
	record := must(client.EventsAPI.GetEvent(ctx, receipt.EventId).Execute())
	var id string
	for _, outcome := range record.Outcomes {
		if found := outcome.DeliveryId.Get(); found != nil {
			id = *found
		}
	}
	delivered(id, 1)
	must(client.DeliveriesAPI.RetryDelivery(ctx, id).Execute())
	last := delivered(id, 2)
	page := must(client.DeliveriesAPI.ListDeliveries(ctx).IntegrationId(webhook.Id).
		Status([]hookline.DeliveryStatus{hookline.DELIVERYSTATUS_DELIVERED}).Execute())
	listed := false
	for _, delivery := range page.Items {
		listed = listed || delivery.Id == id
	}
	outcomes := []hookline.AttemptOutcome{}
	for _, attempt := range last.Attempts {
		outcomes = append(outcomes, attempt.Outcome)
	}
	return map[string]any{"status": last.Status, "attempts": outcomes, "listed": listed}
}

// delivered asks until so many attempts have ended.
func delivered(id string, attempts int) *hookline.Delivery {
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		found := must(client.DeliveriesAPI.GetDelivery(ctx, id).Execute())
		if found.Status == hookline.DELIVERYSTATUS_DELIVERED && len(found.Attempts) >= attempts {
			return found
		}
	}
	panic(id + " was not delivered in time")
}

func change(webhook *hookline.Integration) []any {
	_, read, err := client.IntegrationsAPI.GetIntegration(ctx, webhook.Id).Execute()
	must(read, read, err)
	changes := hookline.NewIntegrationPatch()
	changes.SetEnabled(false)
	changes.SetRateLimit(5)
	request := client.IntegrationsAPI.UpdateIntegration(ctx, webhook.Id).
		IntegrationPatch(*changes).IfMatch(read.Header.Get("ETag"))
	changed := must(request.Execute())
	_, _, stale := request.Execute()
	return []any{
		changed.Enabled,
		changed.RateLimit.Get(),
		changed.Health.DisabledReason.Get(),
		problem[hookline.Problem](stale).Type,
	}
}

func gone(queue *hookline.Integration) []any {
	deleted, err := client.IntegrationsAPI.DeleteIntegration(ctx, queue.Id).Execute()
	must(deleted, deleted, err)
	_, _, err = client.IntegrationsAPI.GetIntegration(ctx, queue.Id).Execute()
	missing := problem[hookline.Problem](err)
	return []any{deleted.StatusCode, missing.Status, missing.Type}
}

func describe() []any {
	wanted := hookline.NewPbxPut("it_w000001", hookline.PBXLICENCE_X_BEES)
	wanted.SetRetentionDays(7)
	put := must(client.PBXRecordsAPI.PutPbx(ctx, "000000000002").PbxPut(*wanted).Execute())
	return []any{put.Pbx, put.License, put.RetentionDays.Get()}
}

// follow reads along, over the client's own HTTP client, until a delivery has ended.
func follow(webhook *hookline.Integration) {
	configuration := client.GetConfig()
	address := configuration.Servers[0].URL + "/v1/stream?integrationId=" + webhook.Id
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("KEY"))
	answer, err := configuration.HTTPClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer func() { _ = answer.Body.Close() }()
	event := anEvent("stream")
	event.Type = "call:update"
	lines, reading := bufio.NewScanner(answer.Body), false
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "id: ") && !reading { // from here on it reads along
			reading = true
			must(client.EventsAPI.SendEvent(ctx).EventCreate(event).Execute())
		}
		data, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		var ended hookline.Delivery
		if err := json.Unmarshal([]byte(data), &ended); err != nil {
			panic(err)
		}
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
	seen["key"] = must(client.KeysAPI.GetCurrentKey(ctx).Execute()).Role
	seen["groups"] = groups()
	seen["accessKeyId"] = queue.Transmission.SqsTransmission.AccessKeyId
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
