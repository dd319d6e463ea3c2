package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// awsSDK is the AWS SDK for Go, by its default chain.
func awsSDK(ctx context.Context, _ options) (client, error) {
	c, err := config.LoadDefaultConfig(ctx, config.WithRetryMaxAttempts(2))
	if err != nil {
		return nil, err
	}
	service := sts.NewFromConfig(c)
	return func(ctx context.Context) (string, []string, error) {
		who, err := service.GetCallerIdentity(ctx, nil)
		if err != nil {
			return "", nil, err
		}
		credentials, err := c.Credentials.Retrieve(ctx)
		return *who.Arn, []string{credentials.AccessKeyID}, err
	}, nil
}
