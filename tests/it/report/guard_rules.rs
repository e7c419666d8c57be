//! Every bundled rule has a template that breaks it and one that keeps it.

use std::collections::BTreeSet;
use tidegate::report::document::Document;
use tidegate::report::finding::{Finding, Level};
use tidegate::report::guard::{RuleText, evaluate};

/// Rule, its level, a resource that breaks it, one that keeps it.
const RULES: [(&str, Level, &str, &str); 27] = [
    (
        "s3_bucket_encryption",
        Level::Warning,
        "{Type: 'AWS::S3::Bucket'}",
        "{Type: 'AWS::S3::Bucket', Properties: {BucketEncryption: {ServerSideEncryptionConfiguration: [{}]}}}",
    ),
    (
        "s3_bucket_public_access_block",
        Level::Error,
        "{Type: 'AWS::S3::Bucket', Properties: {PublicAccessBlockConfiguration: {BlockPublicAcls: true, BlockPublicPolicy: false, IgnorePublicAcls: true, RestrictPublicBuckets: true}}}",
        "{Type: 'AWS::S3::Bucket', Properties: {PublicAccessBlockConfiguration: {BlockPublicAcls: true, BlockPublicPolicy: !Ref Block, IgnorePublicAcls: 'true', RestrictPublicBuckets: true}}}",
    ),
    (
        "s3_bucket_acl_not_public",
        Level::Error,
        "{Type: 'AWS::S3::Bucket', Properties: {AccessControl: PublicRead}}",
        "{Type: 'AWS::S3::Bucket', Properties: {AccessControl: !Ref Acl}}",
    ),
    (
        "s3_bucket_policy_not_public",
        Level::Error,
        "{Type: 'AWS::S3::BucketPolicy', Properties: {PolicyDocument: {Statement: [{Effect: Deny, Principal: '*'}, {Effect: Allow, Principal: {AWS: ['*']}}]}}}",
        "{Type: 'AWS::S3::BucketPolicy', Properties: {PolicyDocument: {Statement: [{Effect: Allow, Principal: '*', Condition: {}}, {Effect: Allow, Principal: {AWS: [!Ref Role, a]}}]}}}",
    ),
    (
        "security_group_ssh_not_open",
        Level::Error,
        "{Type: 'AWS::EC2::SecurityGroup', Properties: {SecurityGroupIngress: [{CidrIpv6: '::/0', FromPort: 0, ToPort: 1024, IpProtocol: tcp}]}}",
        "{Type: 'AWS::EC2::SecurityGroup', Properties: {SecurityGroupIngress: [{CidrIp: 10.0.0.0/8, FromPort: 22, ToPort: 22}, {CidrIp: 0.0.0.0/0, FromPort: '443', ToPort: '443'}, {CidrIp: 0.0.0.0/0, FromPort: !Ref P, ToPort: !Ref P}]}}",
    ),
    (
        "security_group_rdp_not_open",
        Level::Error,
        "{Type: 'AWS::EC2::SecurityGroup', Properties: {SecurityGroupIngress: [{CidrIp: 0.0.0.0/0, IpProtocol: -1}]}}",
        "{Type: 'AWS::EC2::SecurityGroup', Properties: {SecurityGroupIngress: [{CidrIp: 0.0.0.0/0, FromPort: 3389, ToPort: 3389, IpProtocol: udp}]}}",
    ),
    (
        "security_group_ingress_ssh_not_open",
        Level::Error,
        "{Type: 'AWS::EC2::SecurityGroupIngress', Properties: {CidrIp: 0.0.0.0/0, FromPort: '22', ToPort: '22', IpProtocol: tcp}}",
        "{Type: 'AWS::EC2::SecurityGroupIngress', Properties: {SourceSecurityGroupId: !Ref G, FromPort: 22, ToPort: 22, IpProtocol: tcp}}",
    ),
    (
        "security_group_ingress_rdp_not_open",
        Level::Error,
        "{Type: 'AWS::EC2::SecurityGroupIngress', Properties: {CidrIp: 0.0.0.0/0, FromPort: 3000, ToPort: 4000, IpProtocol: tcp}}",
        "{Type: 'AWS::EC2::SecurityGroupIngress', Properties: {CidrIp: 0.0.0.0/0, FromPort: 80, ToPort: 80, IpProtocol: tcp}}",
    ),
    (
        "listener_encrypted",
        Level::Warning,
        "{Type: 'AWS::ElasticLoadBalancingV2::Listener', Properties: {Protocol: HTTP, DefaultActions: [{Type: forward}]}}",
        "{Type: 'AWS::ElasticLoadBalancingV2::Listener', Properties: {Protocol: HTTP, DefaultActions: [{Type: redirect}]}}",
    ),
    (
        "cloudfront_https_only",
        Level::Warning,
        "{Type: 'AWS::CloudFront::Distribution', Properties: {DistributionConfig: {DefaultCacheBehavior: {ViewerProtocolPolicy: allow-all}}}}",
        "{Type: 'AWS::CloudFront::Distribution', Properties: {DistributionConfig: {DefaultCacheBehavior: {ViewerProtocolPolicy: https-only}}}}",
    ),
    (
        "ebs_volume_encrypted",
        Level::Error,
        "{Type: 'AWS::EC2::Volume', Properties: {Size: 8}}",
        "{Type: 'AWS::EC2::Volume', Properties: {Encrypted: true}}",
    ),
    (
        "efs_encrypted",
        Level::Error,
        "{Type: 'AWS::EFS::FileSystem', Properties: {Encrypted: false}}",
        "{Type: 'AWS::EFS::FileSystem', Properties: {Encrypted: true}}",
    ),
    (
        "rds_instance_encrypted",
        Level::Error,
        "{Type: 'AWS::RDS::DBInstance', Properties: {Engine: postgres}}",
        "{Type: 'AWS::RDS::DBInstance', Properties: {DBClusterIdentifier: !Ref Cluster}}",
    ),
    (
        "rds_cluster_encrypted",
        Level::Error,
        "{Type: 'AWS::RDS::DBCluster'}",
        "{Type: 'AWS::RDS::DBCluster', Properties: {StorageEncrypted: true}}",
    ),
    (
        "rds_not_public",
        Level::Error,
        "{Type: 'AWS::RDS::DBInstance', Properties: {PubliclyAccessible: true}}",
        "{Type: 'AWS::RDS::DBInstance', Properties: {PubliclyAccessible: false}}",
    ),
    (
        "rds_backups_kept",
        Level::Warning,
        "{Type: 'AWS::RDS::DBInstance', Properties: {BackupRetentionPeriod: 0}}",
        "{Type: 'AWS::RDS::DBInstance', Properties: {BackupRetentionPeriod: 7}}",
    ),
    (
        "stateful_deletion_policy",
        Level::Warning,
        "{Type: 'AWS::DynamoDB::Table', DeletionPolicy: Delete}",
        "{Type: 'AWS::DynamoDB::Table', DeletionPolicy: Retain}",
    ),
    (
        "stateful_replace_policy",
        Level::Note,
        "{Type: 'AWS::DynamoDB::Table', DeletionPolicy: Retain}",
        "{Type: 'AWS::DynamoDB::Table', UpdateReplacePolicy: Retain}",
    ),
    (
        "launch_template_imdsv2",
        Level::Error,
        "{Type: 'AWS::EC2::LaunchTemplate', Properties: {LaunchTemplateData: {MetadataOptions: {HttpTokens: optional}}}}",
        "{Type: 'AWS::EC2::LaunchTemplate', Properties: {LaunchTemplateData: {MetadataOptions: {HttpTokens: required}}}}",
    ),
    (
        "launch_configuration_imdsv2",
        Level::Error,
        "{Type: 'AWS::AutoScaling::LaunchConfiguration', Properties: {ImageId: ami-1}}",
        "{Type: 'AWS::AutoScaling::LaunchConfiguration', Properties: {MetadataOptions: {HttpTokens: required}}}",
    ),
    (
        "launch_template_volumes_encrypted",
        Level::Error,
        "{Type: 'AWS::EC2::LaunchTemplate', Properties: {LaunchTemplateData: {BlockDeviceMappings: [{Ebs: {VolumeSize: 8}}]}}}",
        "{Type: 'AWS::EC2::LaunchTemplate', Properties: {LaunchTemplateData: {BlockDeviceMappings: [{Ebs: {Encrypted: true}}, {VirtualName: ephemeral0}]}}}",
    ),
    (
        "autoscaling_two_zones",
        Level::Warning,
        "{Type: 'AWS::AutoScaling::AutoScalingGroup', Properties: {VPCZoneIdentifier: [subnet-1]}}",
        "{Type: 'AWS::AutoScaling::AutoScalingGroup', Properties: {VPCZoneIdentifier: [subnet-1, subnet-2]}}",
    ),
    (
        "iam_policy_not_admin",
        Level::Error,
        "{Type: 'AWS::IAM::ManagedPolicy', Properties: {PolicyDocument: {Statement: {Effect: Allow, Action: '*', Resource: '*'}}}}",
        "{Type: 'AWS::IAM::ManagedPolicy', Properties: {PolicyDocument: {Statement: [{Effect: Allow, Action: 's3:*', Resource: '*'}, {Effect: Deny, Action: '*', Resource: '*'}]}}}",
    ),
    (
        "iam_inline_policy_not_admin",
        Level::Error,
        "{Type: 'AWS::IAM::Role', Properties: {Policies: [{PolicyDocument: {Statement: [{Effect: Allow, Action: ['s3:Get*', '*:*'], Resource: ['*']}]}}]}}",
        "{Type: 'AWS::IAM::Role', Properties: {Policies: [{PolicyDocument: {Statement: [{Effect: Allow, Action: '*', Resource: !GetAtt Bucket.Arn}]}}]}}",
    ),
    (
        "iam_role_not_assumed_by_everyone",
        Level::Error,
        "{Type: 'AWS::IAM::Role', Properties: {AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {AWS: '*'}}]}}}",
        "{Type: 'AWS::IAM::Role', Properties: {AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}}]}}}",
    ),
    (
        "database_password_not_in_template",
        Level::Error,
        "{Type: 'AWS::RDS::DBInstance', Properties: {MasterUserPassword: hunter2}}",
        "{Type: 'AWS::RDS::DBInstance', Properties: {MasterUserPassword: '{{resolve:secretsmanager:db:SecretString:password}}'}}",
    ),
    ("secret_parameter_hidden", Level::Warning, "{Type: String}", "{Type: String, NoEcho: true}"),
];

fn evaluated(rule: &str, subject: &str, extra: &[RuleText<'_>]) -> Vec<Finding> {
    let text = match rule {
        "secret_parameter_hidden" => format!("Parameters:\n  DbPassword: {subject}\nResources: {{}}\n"),
        _ => format!("Resources:\n  Subject: {subject}\n"),
    };
    evaluate(&Document::parse("t.yaml", &text).unwrap(), extra).0
}

#[test]
fn every_rule_finds_what_breaks_it_and_nothing_else() {
    for (rule, level, bad, good) in RULES {
        let found: Vec<Finding> =
            evaluated(rule, bad, &[]).into_iter().filter(|finding| finding.rule == rule).collect();
        assert_eq!(found.len(), 1, "{rule} finds {bad} once: {found:?}");
        let finding = &found[0];
        assert_eq!(finding.level, level, "{rule}");
        let resource = (rule != "secret_parameter_hidden").then_some("Subject");
        assert_eq!((finding.resource.as_deref(), finding.line), (resource, Some(2)), "{rule}");
        assert!(
            finding.hint.is_some() && finding.message.ends_with('.') && !finding.message.contains("Fix"),
            "{finding:?}"
        );
        let found = evaluated(rule, good, &[]);
        assert!(!found.iter().any(|finding| finding.rule == rule), "{rule} accepts {good}: {found:?}");
    }
}

#[test]
fn every_bundled_rule_is_tested() {
    let document = Document::parse("t.yaml", "Resources: {}").unwrap();
    let (_, checked) = evaluate(&document, &[]);
    let tested: BTreeSet<&str> = RULES.iter().map(|(rule, ..)| *rule).collect();
    assert_eq!(checked.rules.iter().map(String::as_str).collect::<BTreeSet<_>>(), tested);
}

#[test]
fn a_system_may_add_rules() {
    let rules = RuleText {
        name: "ours.guard",
        text: "rule named_well { Resources.*.Properties.Name == /^webshop-/ <<NOTE: The name is foreign. Fix: begin it with webshop-.>> }\n\
               rule plain { Resources.*.Properties.Size < 3 }",
    };
    let found = evaluated("", "{Type: 'A::B::C', Properties: {Name: shop, Size: 9}}", &[rules]);
    let found: Vec<(&str, Level, &str)> =
        found.iter().map(|one| (one.rule.as_str(), one.level, one.message.as_str())).collect();
    assert_eq!(
        found,
        [
            ("named_well", Level::Note, "The name is foreign."),
            ("plain", Level::Error, "/Resources/Subject/Properties/Size does not satisfy the rule plain"),
        ]
    );
}

#[test]
fn rules_that_cannot_be_evaluated_fail_the_template_by_name() {
    for text in [
        "rule {",
        "",
        "rule a when b { Resources exists }\nrule b when a { Resources exists }",
        "let x = %y\nlet y = %x\nrule a { %x exists }",
        "let k = regex_replace(Resources.*.Type, \"(\", \"x\")\nrule a { %k exists }",
        "rule a { %undefined exists }",
    ] {
        let found = evaluated("", "{Type: 'A::B::C'}", &[RuleText { name: "ours.guard", text }]);
        let [finding] = found.as_slice() else { panic!("one finding for {text:?}: {found:?}") };
        assert_eq!(
            (finding.rule.as_str(), finding.level, finding.file.as_str()),
            ("guard_rules", Level::Error, "ours.guard")
        );
        assert!(finding.message.contains("ours.guard could not be evaluated"), "{}", finding.message);
    }
}

#[test]
fn the_deepest_rules_on_the_deepest_template_fit_the_stack() {
    let chain: String =
        (0..14).map(|number| format!("rule r{number} when r{} {{ Resources exists }}\n", number + 1)).collect();
    let text = format!(
        "{chain}rule r14 {{ Resources exists {}Resources.*.Type exists{} }}",
        "when Resources exists { ".repeat(14),
        " }".repeat(14)
    );
    let template = format!("{}1{}", "{a: ".repeat(58), "}".repeat(58));
    let found = evaluated(
        "",
        &format!("{{Type: 'A::B::C', Properties: {template}}}"),
        &[RuleText { name: "deep.guard", text: &text }],
    );
    assert_eq!(found, []);
}

#[test]
fn a_template_with_as_many_resources_as_may_be_is_evaluated() {
    let bucket = "{Type: 'AWS::S3::Bucket', Properties: {Tags: [";
    let tags = "{Key: a, Value: b}, ".repeat(5);
    let resources: String = (0..500).map(|number| format!("  R{number}: {bucket}{tags}]}}}}\n")).collect();
    let text = format!("Resources:\n{resources}");
    let (found, _) = evaluate(&Document::parse("t.yaml", &text).unwrap(), &[]);
    assert_eq!(found.iter().filter(|one| one.rule == "s3_bucket_public_access_block").count(), 500);
    assert!(!found.iter().any(|one| one.rule == "guard_rules"));
}
