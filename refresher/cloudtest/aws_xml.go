package cloudtest

import (
	"encoding/xml"
	"fmt"
	"net/http"
)

// The documents of the Query API, in the order in which the service writes their elements.
type (
	credentials struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string // whole seconds, Z: several SDKs parse no other form
	}
	assumedRoleUser struct {
		AssumedRoleID string `xml:"AssumedRoleId"`
		ARN           string `xml:"Arn"`
	}

	assumeRoleWithWebIdentityResponse struct {
		XMLName   xml.Name          `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
		Result    webIdentityResult `xml:"AssumeRoleWithWebIdentityResult"`
		RequestID string            `xml:"ResponseMetadata>RequestId"`
	}
	webIdentityResult struct {
		Audience    string
		User        assumedRoleUser `xml:"AssumedRoleUser"`
		Provider    string
		Credentials credentials
		Subject     string `xml:"SubjectFromWebIdentityToken"`
		attached
	}

	assumeRoleResponse struct {
		XMLName   xml.Name         `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleResponse"`
		Result    assumeRoleResult `xml:"AssumeRoleResult"`
		RequestID string           `xml:"ResponseMetadata>RequestId"`
	}
	assumeRoleResult struct {
		User        assumedRoleUser `xml:"AssumedRoleUser"`
		Credentials credentials
		attached
	}
	attached struct {
		PackedPolicySize int    `xml:",omitempty"` // percent
		SourceIdentity   string `xml:",omitempty"`
	}

	getCallerIdentityResponse struct {
		XMLName   xml.Name       `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
		Result    callerIdentity `xml:"GetCallerIdentityResult"`
		RequestID string         `xml:"ResponseMetadata>RequestId"`
	}
	callerIdentity struct {
		ARN     string `xml:"Arn"`
		UserID  string `xml:"UserId"`
		Account string
	}

	errorResponse struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Type      string   `xml:"Error>Type"`
		Code      string   `xml:"Error>Code"`
		Message   string   `xml:"Error>Message"`
		RequestID string   `xml:"RequestId"`
	}
)

// An awsError is a refusal.
type awsError struct {
	status  int
	code    string
	message string
}

func writeAWSError(w http.ResponseWriter, requestID string, e *awsError) {
	fault := "Sender"
	if e.status >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	writeXML(w, e.status, errorResponse{Type: fault, Code: e.code, Message: e.message, RequestID: requestID})
}

func writeXML(w http.ResponseWriter, status int, document any) {
	text, err := xml.MarshalIndent(document, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("cloudtest: %v", err))
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}

// awsWording is how STS says what every service may have to. Throttling is a 400.
func awsWording(requestID string) wording {
	return wording{
		throttled: func(w http.ResponseWriter) {
			writeAWSError(w, requestID, &awsError{http.StatusBadRequest, "Throttling", "Rate exceeded"})
		},
		contentType: "text/xml",
		malformed:   `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA`,
	}
}
