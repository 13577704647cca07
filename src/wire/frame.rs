//! Requests and answers as frames: which request has which answer, headers, lengths.

use super::guarded::{Guarded, LengthStyle};
use bytes::Bytes;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse, ApiKey, ApiVersionsRequest, ApiVersionsResponse, ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, CreateAclsRequest,
    CreateAclsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DescribeAclsRequest, DescribeAclsResponse, DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, DescribeGroupsRequest, DescribeGroupsResponse, DescribeProducersRequest,
    DescribeProducersResponse, DescribeQuorumRequest, DescribeQuorumResponse, EndTxnRequest, EndTxnResponse,
    FetchRequest, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, InitProducerIdRequest, InitProducerIdResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, ListOffsetsRequest, ListOffsetsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, MetadataRequest, MetadataResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};
use std::error::Error;
use std::fmt;

/// A request, and the answer to it.
pub(crate) trait ApiCall: Message + Encodable + HeaderVersion + Sync {
    /// Its number and name.
    const KEY: ApiKey;
    /// Its name in messages.
    const NAME: &'static str;
    /// The oldest version that kscen speaks.
    const OLDEST: i16;
    /// The newest.
    const NEWEST: i16;
    /// The answer.
    type Answer: Decodable + HeaderVersion + Send;

    /// The versions that kscen speaks.
    fn versions() -> VersionRange {
        VersionRange { min: Self::OLDEST, max: Self::NEWEST }
    }
}

/// The oldest version is the first flexible one (Kafka 2.4 to 2.8), because the lengths in others cannot be told from
/// numbers: see [`Guarded`]. Those of the two requests about SASL can, at any version. The newest is the one that these
/// requests were written for: a later one may mean other fields.
macro_rules! calls {
    ($($key:ident: $request:ty => $answer:ty, $oldest:literal to $newest:literal;)*) => {
        $(impl ApiCall for $request {
            const KEY: ApiKey = ApiKey::$key;
            const NAME: &'static str = stringify!($key);
            const OLDEST: i16 = $oldest;
            const NEWEST: i16 = $newest;
            type Answer = $answer;
        })*

        /// Reads a frame as an answer, for each kind of it: oldest and newest version, and whether it can be read as that.
        pub(super) const READERS: &[(i16, i16, fn(Bytes, i16) -> bool)] = &[
            $(($oldest, $newest, |frame, version| decode::<$request>(frame, version, 0).is_ok()),)*
        ];
    };
}

calls! {
    Metadata: MetadataRequest => MetadataResponse, 9 to 13;
    FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse, 3 to 3;
    ListOffsets: ListOffsetsRequest => ListOffsetsResponse, 6 to 10;
    OffsetFetch: OffsetFetchRequest => OffsetFetchResponse, 8 to 9;
    DescribeGroups: DescribeGroupsRequest => DescribeGroupsResponse, 5 to 6;
    ListGroups: ListGroupsRequest => ListGroupsResponse, 3 to 5;
    LeaveGroup: LeaveGroupRequest => LeaveGroupResponse, 4 to 5;
    ConsumerGroupHeartbeat: ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse, 0 to 1;
    ConsumerGroupDescribe: ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse, 0 to 1;
    DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse, 4 to 4;
    DescribeProducers: DescribeProducersRequest => DescribeProducersResponse, 0 to 0;
    DescribeCluster: DescribeClusterRequest => DescribeClusterResponse, 0 to 2;
    DescribeQuorum: DescribeQuorumRequest => DescribeQuorumResponse, 0 to 2;
    AlterPartitionReassignments: AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse, 0 to 1;
    ListPartitionReassignments: ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse, 0 to 0;
    Fetch: FetchRequest => FetchResponse, 12 to 13;
    Produce: ProduceRequest => ProduceResponse, 9 to 10;
    InitProducerId: InitProducerIdRequest => InitProducerIdResponse, 2 to 4;
    AddPartitionsToTxn: AddPartitionsToTxnRequest => AddPartitionsToTxnResponse, 3 to 3;
    EndTxn: EndTxnRequest => EndTxnResponse, 3 to 3;
    OffsetCommit: OffsetCommitRequest => OffsetCommitResponse, 8 to 9;
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse, 4 to 4;
    DeleteRecords: DeleteRecordsRequest => DeleteRecordsResponse, 2 to 2;
    CreateTopics: CreateTopicsRequest => CreateTopicsResponse, 5 to 7;
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse, 1 to 1;
    CreateAcls: CreateAclsRequest => CreateAclsResponse, 2 to 2;
    DescribeAcls: DescribeAclsRequest => DescribeAclsResponse, 2 to 2;
    ApiVersions: ApiVersionsRequest => ApiVersionsResponse, 3 to 3;
    SaslHandshake: SaslHandshakeRequest => SaslHandshakeResponse, 1 to 1;
    SaslAuthenticate: SaslAuthenticateRequest => SaslAuthenticateResponse, 0 to 2;
}

/// Why a frame is no answer to the request.
#[derive(Debug)]
pub(crate) enum Malformed {
    /// It claims this length, where the first number is the most that is read.
    Length(usize, i32),
    /// It answers another request: the one that was asked, and the one that it names.
    Correlation(i32, i32),
    /// It cannot be decoded.
    Body(Box<dyn Error + Send + Sync>),
    /// This many bytes follow the answer.
    Trailing(usize),
    /// It leaves out what was asked for.
    Missing(String),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(limit, claimed) => write!(f, "it claims to be {claimed} bytes long; the limit is {limit}"),
            Self::Correlation(asked, named) => write!(f, "it answers request {named} where {asked} was asked"),
            Self::Body(_) => f.write_str("it cannot be decoded"),
            Self::Trailing(count) => write!(f, "{count} bytes follow the answer"),
            Self::Missing(what) => write!(f, "it says nothing about {what}"),
        }
    }
}

impl Error for Malformed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Body(cause) => Some(&**cause),
            _ => None,
        }
    }
}

/// A text of a request.
pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Room for a header; a longer one costs a copy.
const HEADER: usize = 64;

/// A request with header and length.
pub(super) fn encode<R: ApiCall>(
    request: &R,
    version: i16,
    correlation: i32,
    client: &str,
) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(text(client)));
    // Requests with records are large: room for them is made once.
    let mut frame = Vec::with_capacity(request.compute_size(version)? + 4 + HEADER);
    frame.extend([0; 4]);
    header.encode(&mut frame, R::header_version(version))?;
    request.encode(&mut frame, version)?;
    let length = i32::try_from(frame.len() - 4)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// The answer in a frame, without its length.
pub(super) fn decode<R: ApiCall>(frame: Bytes, version: i16, correlation: i32) -> Result<R::Answer, Malformed> {
    // A request's header is flexible where request and answer are; an answer's header is not always.
    let shape = if R::header_version(version) >= 2 { LengthStyle::Flexible } else { LengthStyle::Fixed };
    let mut head = Guarded::new(frame, LengthStyle::Flexible);
    let header = ResponseHeader::decode(&mut head, R::Answer::header_version(version))
        .map_err(|error| Malformed::Body(error.into()))?;
    if header.correlation_id != correlation {
        return Err(Malformed::Correlation(correlation, header.correlation_id));
    }
    let mut rest = head.reshaped(shape);
    let answer = R::Answer::decode(&mut rest, version).map_err(|error| Malformed::Body(error.into()))?;
    match bytes::Buf::remaining(&rest) {
        0 => Ok(answer),
        left => Err(Malformed::Trailing(left)),
    }
}
